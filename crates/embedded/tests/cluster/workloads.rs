//! Deployments and pods as `kubectl` sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use kube::api::{DeleteParams, LogParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::lab::{Lab, has_rolled_out};

fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "service", "image": image }] },
            },
        },
    })
}

async fn one_service() -> Lab {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.rolled_out("default", "minimal-service").await;
    lab.wait_until_served("minimal-service").await;
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ingress_forwards_requests_by_host() {
    let lab = one_service().await;
    assert_eq!(lab.get("minimal-service", "/health").await.body, "Status OK");
    assert_eq!(lab.get("unknown-host", "/health").await.status, 404);
    lab.delete("networking.k8s.io/v1/Ingress", "minimal-service", &DeleteParams::default()).await;
    lab.wait("networking.k8s.io/v1/Ingress", "default", "minimal-service", |found| found.is_none()).await;
    assert_eq!(lab.get("minimal-service", "/health").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_fails_no_request() {
    let lab = Arc::new(one_service().await);
    let (done, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (lab, done, sent) = (lab.clone(), done.clone(), sent.clone());
        clients.spawn(async move {
            // The last requests are sent to new pods only.
            while !done.load(Ordering::Relaxed) || sent.load(Ordering::Relaxed) < 30 {
                let response = lab.get("minimal-service", "/").await;
                assert_eq!(response.status, 200, "{}", response.body);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let before = lab.pods("minimal-service").await;
    for round in 0..3 {
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": { "round": round.to_string() } } } } });
        let api = lab.api("apps/v1/Deployment", "default");
        api.patch("minimal-service", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("a patch");
        lab.rolled_out("default", "minimal-service").await;
    }
    done.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("each request succeeds");
    }
    let after = lab.pods("minimal-service").await;
    assert!(
        after.iter().all(|pod| before.iter().all(|old| old["metadata"]["uid"] != pod["metadata"]["uid"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_restarts_the_container_and_keeps_its_log() {
    let lab = one_service().await;
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    // The process exits without a response. Its proxy responds with 500: a closed connection is not an I/O error (502).
    assert_eq!(lab.get("minimal-service", "/crash").await.status, 500);
    lab.wait("v1/Pod", "default", &pod, |pod| {
        let Some(status) = pod.and_then(|pod| pod.pointer("/status/containerStatuses/0")) else {
            return false;
        };
        status["restartCount"] == 1
            && status["ready"] == true
            && status["lastState"]["terminated"]["exitCode"] == 137
            && status["state"]["running"].is_object()
    })
    .await;
    lab.wait_until_served("minimal-service").await;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(lab.client.clone(), "default");
    let previous = LogParams { previous: true, container: Some("service".into()), ..LogParams::default() };
    let log = pods.logs(&pod, &previous).await.expect("a log");
    assert!(log.contains("crash"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_image_is_an_image_pull_error_with_a_hint() {
    let lab = Lab::start().await;
    let mut unsupported = deployment("web", "nginx:1.29", 1);
    unsupported["spec"]["progressDeadlineSeconds"] = json!(1);
    lab.apply(unsupported).await;
    lab.wait("apps/v1/Deployment", "default", "web", |found| {
        found.is_some_and(|found| found.pointer("/status/replicas") == Some(&json!(1)))
    })
    .await;
    let pod = lab.pods("web").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    lab.wait("v1/Pod", "default", &pod, |pod| {
        let waiting = pod.and_then(|pod| pod.pointer("/status/containerStatuses/0/state/waiting"));
        waiting.is_some_and(|waiting| {
            matches!(waiting["reason"].as_str(), Some("ErrImagePull" | "ImagePullBackOff"))
                && waiting["message"].as_str().is_some_and(|message| message.contains("--provider kind"))
        })
    })
    .await;
    let exceeded = |found: Option<&Value>| {
        let conditions =
            found.and_then(|found| found.pointer("/status/conditions")).and_then(Value::as_array);
        conditions
            .is_some_and(|all| all.iter().any(|condition| condition["reason"] == "ProgressDeadlineExceeded"))
    };
    lab.wait("apps/v1/Deployment", "default", "web", exceeded).await;
    // A corrected image completes the rollout.
    let patch = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "service", "image": "localhost:5000/minimal-service:v1.0.0" },
    ] } } } });
    let api = lab.api("apps/v1/Deployment", "default");
    api.patch("web", &PatchParams::default(), &Patch::Strategic(&patch)).await.expect("a patch");
    lab.rolled_out("default", "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_a_deployment_updates_its_endpoints() {
    let lab = one_service().await;
    let api = lab.api("apps/v1/Deployment", "default");
    for replicas in [5, 2, 0, 1] {
        let patch = json!({ "spec": { "replicas": replicas } });
        api.patch_scale("minimal-service", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("a scale");
        lab.wait("apps/v1/Deployment", "default", "minimal-service", move |found| {
            found.is_some_and(|found| has_rolled_out(found) && found["spec"]["replicas"] == replicas)
        })
        .await;
        lab.wait("v1/Endpoints", "default", "minimal-service", move |found| {
            let addresses = found.and_then(|found| found.pointer("/subsets/0/addresses"));
            addresses.and_then(Value::as_array).map_or(0, Vec::len) == replicas
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_deployment_deletes_its_pods_unless_they_are_orphaned() {
    let lab = one_service().await;
    lab.apply(deployment("kept", "minimal-service", 1)).await;
    lab.rolled_out("default", "kept").await;
    let kept = lab.pods("kept").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let deleted =
        lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();

    lab.delete(
        "apps/v1/Deployment",
        "kept",
        &DeleteParams {
            propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
            ..DeleteParams::default()
        },
    )
    .await;
    lab.delete("apps/v1/Deployment", "minimal-service", &DeleteParams::foreground()).await;
    lab.wait("apps/v1/Deployment", "default", "minimal-service", |found| found.is_none()).await;
    // Foreground deletion deletes the owner after its dependents.
    assert!(lab.api("v1/Pod", "default").get_opt(&deleted).await.expect("a response").is_none());
    lab.wait("apps/v1/Deployment", "default", "kept", |found| found.is_none()).await;
    let pod = lab
        .api("v1/Pod", "default")
        .get_opt(&kept)
        .await
        .expect("a response")
        .expect("the pod of the orphan");
    assert!(pod.metadata.deletion_timestamp.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_namespace_deletes_its_content() {
    let lab = Lab::start().await;
    lab.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } })).await;
    let mut web = deployment("web", "minimal-service", 2);
    web["metadata"]["namespace"] = json!("shop");
    lab.apply(web).await;
    lab.rolled_out("shop", "web").await;
    lab.wait("v1/ServiceAccount", "shop", "default", |found| found.is_some()).await;
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(lab.client.clone());
    namespaces.delete("shop", &DeleteParams::default()).await.expect("a deletion");
    for kind in ["v1/Pod", "apps/v1/ReplicaSet", "apps/v1/Deployment", "v1/ServiceAccount"] {
        lab.wait_until_deleted(kind, "shop").await;
    }
    lab.wait_until_namespace_deleted("shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_cluster_keeps_its_objects_and_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = meshy_embedded::Options {
        state_dir: Some(folder.path().to_owned()),
        ..meshy_embedded::Options::ephemeral("kept")
    };
    let lab = Lab::with(options.clone()).await;
    lab.deploy("minimal-service").await;
    lab.rolled_out("default", "minimal-service").await;
    let service = lab.api("v1/Service", "default").get("minimal-service").await.expect("the Service");
    let kubeconfig = lab.cluster.kubeconfig();
    drop(lab.client);
    lab.cluster.stop().await.expect("a clean stop");

    let lab = Lab::with(options).await;
    lab.rolled_out("default", "minimal-service").await;
    lab.wait_until_served("minimal-service").await;
    let restored = lab.api("v1/Service", "default").get("minimal-service").await.expect("the Service");
    assert_eq!(service.data["spec"]["clusterIP"], restored.data["spec"]["clusterIP"]);
    let token = |text: &str| text.lines().find(|line| line.contains("token")).map(str::to_owned);
    assert_eq!(token(&kubeconfig), token(&lab.cluster.kubeconfig()));
}

fn failing(name: &str) -> Value {
    let mut object = deployment(name, "minimal-service", 1);
    object["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{ "name": "SERVICE_PORT", "value": "none" }]);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_container_is_in_crash_loop_backoff() {
    let lab = Lab::start().await;
    lab.apply(failing("web")).await;
    lab.wait("apps/v1/Deployment", "default", "web", |found| {
        found.is_some_and(|found| found.pointer("/status/replicas") == Some(&json!(1)))
    })
    .await;
    let pod = lab.pods("web").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    lab.wait("v1/Pod", "default", &pod, |pod| {
        let Some(status) = pod.and_then(|pod| pod.pointer("/status/containerStatuses/0")) else {
            return false;
        };
        status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            && status["restartCount"] == 1
            && status["lastState"]["terminated"]["exitCode"] == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_restart_policy_never_fails_with_its_container() {
    let lab = Lab::start().await;
    let mut pod = failing("unused")["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"] = json!({ "name": "once", "namespace": "default" });
    pod["spec"]["restartPolicy"] = json!("Never");
    lab.apply(pod).await;
    lab.wait("v1/Pod", "default", "once", |pod| {
        pod.is_some_and(|pod| {
            pod.pointer("/status/phase") == Some(&json!("Failed"))
                && pod.pointer("/status/containerStatuses/0/state/terminated/exitCode") == Some(&json!(2))
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_forward_reaches_the_application_and_its_proxy() {
    let options = meshy_embedded::Options::ephemeral("forward");
    let lab = Lab::with(options).await;
    lab.deploy("minimal-service").await;
    lab.rolled_out("default", "minimal-service").await;
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&lab.cluster.kubeconfig()).expect("a kubeconfig");
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
    let client = kube::Client::try_from(config).expect("a client");
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(client, "default");
    for (port, path, expected) in [(9090, "/health", "Status OK"), (4191, "/metrics", "request_total")] {
        let mut forward = pods.portforward(&pod, &[port]).await.expect("a port-forward");
        let stream = forward.take_stream(port).expect("a stream");
        let response = crate::lab::get_over(stream, path).await;
        assert!(response.contains(expected), "{response}");
    }
}
