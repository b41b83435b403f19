//! The log of a pod's proxy.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{LogParams, Patch, PatchParams};
use serde_json::json;

use crate::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_annotation_shows_the_decisions_of_a_pods_proxy() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    let annotations = json!({ "config.linkerd.io/proxy-log-level": "warn,linkerd=debug" });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
    let deployments = lab.api("apps/v1/Deployment", "default");
    deployments
        .patch("minimal-service", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .expect("patched");
    lab.rolled_out("default", "minimal-service").await;
    lab.wait_until_served("minimal-service").await;
    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), "default");
    let params = LogParams { container: Some("linkerd-proxy".into()), ..LogParams::default() };
    let mut logs = String::new();
    for pod in lab.pods("minimal-service").await {
        logs += &pods.logs(pod["metadata"]["name"].as_str().expect("a name"), &params).await.expect("logs");
    }
    assert!(logs.contains("method=GET path=\"/health\"}: response of the application status=200"), "{logs}");
}
