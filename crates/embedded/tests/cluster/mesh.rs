//! The mesh as its users see it: injection, the meshed ingress, routes and rolling updates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::lab::{Lab, counter};

fn names(pod: &Value, list: &str) -> Vec<String> {
    let all = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "service", "image": "minimal-service" }] },
            },
        },
    })
}

async fn mesh_ingress(lab: &Lab) {
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": { "linkerd.io/inject": "ingress" } } } } });
    let api = lab.api("apps/v1/Deployment", "ingress-nginx");
    api.patch("ingress-nginx-controller", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .expect("a patch");
    lab.rolled_out("ingress-nginx", "ingress-nginx-controller").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotated_pod_gets_a_proxy_with_labels_and_annotations() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.rolled_out("default", "minimal-service").await;
    let pod = lab.pods("minimal-service").await.remove(0);
    assert_eq!(names(&pod, "/spec/initContainers"), ["linkerd-init", "linkerd-proxy"]);
    assert_eq!(pod["spec"]["initContainers"][1]["restartPolicy"], "Always");
    let labels = &pod["metadata"]["labels"];
    assert_eq!(labels["linkerd.io/control-plane-ns"], "linkerd");
    assert_eq!(labels["linkerd.io/proxy-deployment"], "minimal-service");
    assert_eq!(labels["linkerd.io/workload-ns"], "default");
    for key in ["linkerd.io/created-by", "linkerd.io/proxy-version", "linkerd.io/trust-root-sha256"] {
        assert!(pod["metadata"]["annotations"][key].is_string(), "{key} is missing");
    }
    assert_eq!(pod.pointer("/status/initContainerStatuses/1/ready"), Some(&json!(true)));
    assert_eq!(pod.pointer("/status/initContainerStatuses/0/state/terminated/exitCode"), Some(&json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_of_a_pod_overrides_that_of_its_namespace() {
    let lab = Lab::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "default", "annotations": { "linkerd.io/inject": "enabled" },
    } });
    lab.apply(namespace).await;
    let mut unmeshed = deployment("unmeshed");
    unmeshed["spec"]["template"]["metadata"]["annotations"] = json!({ "linkerd.io/inject": "disabled" });
    lab.apply(deployment("meshed")).await;
    lab.apply(unmeshed).await;
    lab.rolled_out("default", "meshed").await;
    lab.rolled_out("default", "unmeshed").await;
    assert_eq!(
        names(&lab.pods("meshed").await[0], "/spec/initContainers"),
        ["linkerd-init", "linkerd-proxy"]
    );
    assert!(names(&lab.pods("unmeshed").await[0], "/spec/initContainers").is_empty());
}

/// Returns the requests that the proxy of the ingress has sent to minimal-service.
async fn sent_by_ingress(lab: &Lab) -> f64 {
    let pod = lab.active_pods("ingress-nginx", "app.kubernetes.io/name=ingress-nginx").await.remove(0);
    let metrics = lab.metrics("ingress-nginx", pod["metadata"]["name"].as_str().expect("a name")).await;
    let labels = [r#"direction="outbound""#, r#"dst_deployment="minimal-service""#, r#"tls="true""#];
    counter(&metrics, "response_total", &labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meshed_ingress_ignores_the_override_header_of_clients() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.deploy("bounced-service").await;
    lab.rolled_out("default", "minimal-service").await;
    lab.rolled_out("default", "bounced-service").await;
    mesh_ingress(&lab).await;
    // Requests can go to the previous pod until it is removed from the endpoints.
    while sent_by_ingress(&lab).await == 0.0 {
        lab.wait_until_served("minimal-service").await;
    }
    let before = sent_by_ingress(&lab).await;
    let headers = [("l5d-dst-override", "bounced-service.default.svc.cluster.local:9090")];
    for _ in 0..10 {
        let response = lab.send("GET", "minimal-service", "/", &headers, "").await;
        assert_eq!(response.status, 200, "bounced-service fails seven of ten requests");
        assert!(response.body.contains("minimal-service"), "{}", response.body);
    }
    assert_eq!(sent_by_ingress(&lab).await - before, 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_redirects_requests_until_it_is_deleted() {
    let lab = Lab::start().await;
    for overlay in ["minimal-service", "bounced-service"] {
        lab.deploy(overlay).await;
        lab.rolled_out("default", overlay).await;
        lab.wait_until_served(overlay).await;
    }
    assert_eq!(lab.receiving_app().await, "bounced-service");
    lab.apply(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "split", "namespace": "default" },
        "spec": {
            "parentRefs": [{ "group": "", "kind": "Service", "name": "bounced-service", "port": 9090 }],
            "rules": [{ "backendRefs": [{ "name": "minimal-service", "port": 9090, "weight": 1 }] }],
        },
    }))
    .await;
    lab.wait_until_received_by("minimal-service").await;
    lab.delete("gateway.networking.k8s.io/v1/HTTPRoute", "split", &DeleteParams::default()).await;
    lab.wait_until_received_by("bounced-service").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_updates_of_meshed_workloads_fail_no_request() {
    let lab = Arc::new(Lab::start().await);
    for overlay in ["minimal-service", "bounced-service"] {
        lab.deploy(overlay).await;
    }
    for name in ["minimal-service", "bounced-service"] {
        let patch = json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [
            { "name": "service", "env": [{ "name": "DISCARD_QUOTA", "value": "0" }] },
        ] } } } });
        let api = lab.api("apps/v1/Deployment", "default");
        api.patch(name, &PatchParams::default(), &Patch::Strategic(&patch)).await.expect("a patch");
        lab.rolled_out("default", name).await;
        lab.wait_until_served(name).await;
    }
    mesh_ingress(&lab).await;
    lab.wait_until_served("minimal-service").await;
    let (done, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (lab, done, sent) = (lab.clone(), done.clone(), sent.clone());
        clients.spawn(async move {
            // The last requests are sent to new pods only.
            while !done.load(Ordering::Relaxed) || sent.load(Ordering::Relaxed) < 30 {
                assert_eq!(lab.bounce().await, "200 OK");
                sent.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    for (namespace, name) in [
        ("default", "bounced-service"),
        ("default", "minimal-service"),
        ("ingress-nginx", "ingress-nginx-controller"),
    ] {
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": { "again": "1" } } } } });
        let api = lab.api("apps/v1/Deployment", namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("a patch");
        lab.rolled_out(namespace, name).await;
    }
    done.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("each request succeeds");
    }
}
