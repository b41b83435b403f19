//! Deployments and pods as `kubectl` would see them.

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
    lab.serves("minimal-service").await;
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ingress_leads_to_the_service_of_its_host() {
    let lab = one_service().await;
    assert_eq!(lab.get("minimal-service", "/health").await.body, "Status OK");
    assert_eq!(lab.get("nobody", "/health").await.status, 404);
    lab.delete("networking.k8s.io/v1/Ingress", "minimal-service", &DeleteParams::default()).await;
    lab.wait("networking.k8s.io/v1/Ingress", "default", "minimal-service", |found| found.is_none()).await;
    assert_eq!(lab.get("minimal-service", "/health").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_loses_no_request() {
    let lab = Arc::new(one_service().await);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (lab, over, asked) = (lab.clone(), over.clone(), asked.clone());
        clients.spawn(async move {
            // The last ones find nothing but new pods.
            while !over.load(Ordering::Relaxed) || asked.load(Ordering::Relaxed) < 30 {
                let answer = lab.get("minimal-service", "/").await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let before = lab.pods("minimal-service").await;
    for round in 0..3 {
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": { "round": round.to_string() } } } } });
        let api = lab.api("apps/v1/Deployment", "default");
        api.patch("minimal-service", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patched");
        lab.rolled_out("default", "minimal-service").await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("every request was answered");
    }
    let after = lab.pods("minimal-service").await;
    assert!(
        after.iter().all(|pod| before.iter().all(|old| old["metadata"]["uid"] != pod["metadata"]["uid"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_restarts_the_container_and_keeps_its_last_words() {
    let lab = one_service().await;
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    // The process dies without an answer. Its proxy says 500: an end is no I/O error, which would be a 502.
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
    lab.serves("minimal-service").await;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(lab.client.clone(), "default");
    let previous =
        LogParams { previous: true, container: Some("minimal-service".into()), ..LogParams::default() };
    let previous = match pods.logs(&pod, &previous).await {
        Ok(text) => text,
        Err(_) => {
            pods.logs(&pod, &LogParams { container: Some("service".into()), ..previous }).await.expect("logs")
        }
    };
    assert!(previous.contains("crash"), "{previous}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_is_not_pulled_and_the_pod_says_what_would_help() {
    let lab = Lab::start().await;
    let mut stuck = deployment("web", "nginx:1.29", 1);
    stuck["spec"]["progressDeadlineSeconds"] = json!(1);
    lab.apply(stuck).await;
    lab.wait("apps/v1/Deployment", "default", "web", |found| {
        found.is_some_and(|found| found.pointer("/status/replicas") == Some(&json!(1)))
    })
    .await;
    let pod = lab.pods("web").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    lab.wait("v1/Pod", "default", &pod, |pod| {
        let waiting = pod.and_then(|pod| pod.pointer("/status/containerStatuses/0/state/waiting"));
        waiting.is_some_and(|waiting| {
            matches!(waiting["reason"].as_str(), Some("ErrImagePull" | "ImagePullBackOff"))
                && waiting["message"].as_str().is_some_and(|words| words.contains("--provider kind"))
        })
    })
    .await;
    let exceeded = |found: Option<&Value>| {
        let conditions =
            found.and_then(|found| found.pointer("/status/conditions")).and_then(Value::as_array);
        conditions.is_some_and(|all| all.iter().any(|one| one["reason"] == "ProgressDeadlineExceeded"))
    };
    lab.wait("apps/v1/Deployment", "default", "web", exceeded).await;
    // The mistake is corrected and the rollout goes on.
    let patch = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "service", "image": "localhost:5000/minimal-service:v1.0.0" },
    ] } } } });
    let api = lab.api("apps/v1/Deployment", "default");
    api.patch("web", &PatchParams::default(), &Patch::Strategic(&patch)).await.expect("patched");
    lab.rolled_out("default", "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_scaled_up_and_down_and_its_endpoints_follow() {
    let lab = one_service().await;
    let api = lab.api("apps/v1/Deployment", "default");
    for replicas in [5, 2, 0, 1] {
        let patch = json!({ "spec": { "replicas": replicas } });
        api.patch_scale("minimal-service", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("scaled");
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
async fn what_a_deployment_owns_goes_with_it_unless_it_is_orphaned() {
    let lab = one_service().await;
    lab.apply(deployment("kept", "minimal-service", 1)).await;
    lab.rolled_out("default", "kept").await;
    let kept = lab.pods("kept").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let gone = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();

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
    // Foreground: when the owner is gone, what it owned has gone before.
    assert!(lab.api("v1/Pod", "default").get_opt(&gone).await.expect("asked").is_none());
    lab.wait("apps/v1/Deployment", "default", "kept", |found| found.is_none()).await;
    let pod =
        lab.api("v1/Pod", "default").get_opt(&kept).await.expect("asked").expect("the orphan's pod stays");
    assert!(pod.metadata.deletion_timestamp.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_ends_with_all_that_is_in_it() {
    let lab = Lab::start().await;
    lab.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } })).await;
    let mut inside = deployment("web", "minimal-service", 2);
    inside["metadata"]["namespace"] = json!("shop");
    lab.apply(inside).await;
    lab.rolled_out("shop", "web").await;
    lab.wait("v1/ServiceAccount", "shop", "default", |found| found.is_some()).await;
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(lab.client.clone());
    namespaces.delete("shop", &DeleteParams::default()).await.expect("deleted");
    for kind in ["v1/Pod", "apps/v1/ReplicaSet", "apps/v1/Deployment", "v1/ServiceAccount"] {
        lab.emptied(kind, "shop").await;
    }
    lab.namespace_gone("shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_cluster_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = meshy_embedded::Options {
        state_dir: Some(folder.path().to_owned()),
        ..meshy_embedded::Options::ephemeral("kept")
    };
    let lab = Lab::with(options.clone()).await;
    lab.deploy("minimal-service").await;
    lab.rolled_out("default", "minimal-service").await;
    let service = lab.api("v1/Service", "default").get("minimal-service").await.expect("there");
    let kubeconfig = lab.cluster.kubeconfig();
    drop(lab.client);
    lab.cluster.stop().await.expect("stopped");

    let lab = Lab::with(options).await;
    lab.rolled_out("default", "minimal-service").await;
    lab.serves("minimal-service").await;
    let again = lab.api("v1/Service", "default").get("minimal-service").await.expect("there");
    assert_eq!(service.data["spec"]["clusterIP"], again.data["spec"]["clusterIP"]);
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
async fn a_container_that_cannot_run_is_held_back_longer_each_time() {
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
async fn a_pod_that_is_not_to_be_restarted_ends_as_it_ended() {
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
async fn a_port_forward_reaches_the_service_and_its_proxy() {
    let options = meshy_embedded::Options::ephemeral("forward");
    let lab = Lab::with(options).await;
    lab.deploy("minimal-service").await;
    lab.rolled_out("default", "minimal-service").await;
    let pod = lab.pods("minimal-service").await[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&lab.cluster.kubeconfig()).expect("a kubeconfig");
    let choice = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &choice).await.expect("a configuration");
    let client = kube::Client::try_from(config).expect("a client");
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(client, "default");
    for (port, path, wanted) in [(9090, "/health", "Status OK"), (4191, "/metrics", "request_total")] {
        let mut forward = pods.portforward(&pod, &[port]).await.expect("forwarded");
        let stream = forward.take_stream(port).expect("a stream");
        let answer = crate::lab::get_over(stream, path).await;
        assert!(answer.contains(wanted), "{answer}");
    }
}
