//! The mesh as its users see it: who gets a proxy, and what the proxies follow.

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

fn bare(name: &str) -> Value {
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
        .expect("patched");
    lab.rolled_out("ingress-nginx", "ingress-nginx-controller").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotated_pod_gets_its_proxy_and_what_users_see_of_it() {
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
async fn a_namespace_asks_for_all_its_pods_and_one_pod_may_decline() {
    let lab = Lab::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "default", "annotations": { "linkerd.io/inject": "enabled" },
    } });
    lab.apply(namespace).await;
    let mut declining = bare("declining");
    declining["spec"]["template"]["metadata"]["annotations"] = json!({ "linkerd.io/inject": "disabled" });
    lab.apply(bare("following")).await;
    lab.apply(declining).await;
    lab.rolled_out("default", "following").await;
    lab.rolled_out("default", "declining").await;
    assert_eq!(
        names(&lab.pods("following").await[0], "/spec/initContainers"),
        ["linkerd-init", "linkerd-proxy"]
    );
    assert!(names(&lab.pods("declining").await[0], "/spec/initContainers").is_empty());
}

/// Requests that the ingress's proxy has sent to minimal-service.
async fn dispatched(lab: &Lab) -> f64 {
    let pod = lab.staying("ingress-nginx", "app.kubernetes.io/name=ingress-nginx").await.remove(0);
    let metrics = lab.metrics("ingress-nginx", pod["metadata"]["name"].as_str().expect("a name")).await;
    let labels = [r#"direction="outbound""#, r#"dst_deployment="minimal-service""#, r#"tls="true""#];
    counter(&metrics, "response_total", &labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meshed_ingress_follows_the_ingress_and_not_the_clients_header() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    lab.deploy("bounced-service").await;
    lab.rolled_out("default", "minimal-service").await;
    lab.rolled_out("default", "bounced-service").await;
    mesh_ingress(&lab).await;
    // Until the pod before it has left the endpoints, requests may still go there.
    while dispatched(&lab).await == 0.0 {
        lab.serves("minimal-service").await;
    }
    let before = dispatched(&lab).await;
    let foreign = [("l5d-dst-override", "bounced-service.default.svc.cluster.local:9090")];
    for _ in 0..10 {
        let answer = lab.ask("GET", "minimal-service", "/", &foreign, "").await;
        assert_eq!(answer.status, 200, "bounced-service would fail seven of ten");
        assert!(answer.body.contains("minimal-service"), "{}", answer.body);
    }
    assert_eq!(dispatched(&lab).await - before, 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_splits_a_services_requests_and_its_end_gives_them_back() {
    let lab = Lab::start().await;
    for overlay in ["minimal-service", "bounced-service"] {
        lab.deploy(overlay).await;
        lab.rolled_out("default", overlay).await;
        lab.serves(overlay).await;
    }
    assert_eq!(lab.answering().await, "bounced-service");
    lab.apply(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "split", "namespace": "default" },
        "spec": {
            "parentRefs": [{ "group": "", "kind": "Service", "name": "bounced-service", "port": 9090 }],
            "rules": [{ "backendRefs": [{ "name": "minimal-service", "port": 9090, "weight": 1 }] }],
        },
    }))
    .await;
    lab.until_answered_by("minimal-service").await;
    lab.delete("gateway.networking.k8s.io/v1/HTTPRoute", "split", &DeleteParams::default()).await;
    lab.until_answered_by("bounced-service").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meshed_rolling_updates_lose_no_request_either() {
    let lab = Arc::new(Lab::start().await);
    for overlay in ["minimal-service", "bounced-service"] {
        lab.deploy(overlay).await;
    }
    for name in ["minimal-service", "bounced-service"] {
        let patch = json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [
            { "name": "service", "env": [{ "name": "DISCARD_QUOTA", "value": "0" }] },
        ] } } } });
        let api = lab.api("apps/v1/Deployment", "default");
        api.patch(name, &PatchParams::default(), &Patch::Strategic(&patch)).await.expect("patched");
        lab.rolled_out("default", name).await;
        lab.serves(name).await;
    }
    mesh_ingress(&lab).await;
    lab.serves("minimal-service").await;
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (lab, over, asked) = (lab.clone(), over.clone(), asked.clone());
        clients.spawn(async move {
            // The last ones find nothing but new pods.
            while !over.load(Ordering::Relaxed) || asked.load(Ordering::Relaxed) < 30 {
                assert_eq!(lab.bounce().await, "200 OK");
                asked.fetch_add(1, Ordering::Relaxed);
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
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patched");
        lab.rolled_out(namespace, name).await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("every request was answered");
    }
}
