//! The log of a pod's proxy.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{LogParams, Patch, PatchParams};
use meshy_embedded::{Options, parse_log_level};
use serde_json::json;

use crate::lab::Lab;

/// Sets the log level of the proxies of minimal-service's pods by the annotation.
async fn annotate(lab: &Lab, level: &str) {
    let annotations = json!({ "config.linkerd.io/proxy-log-level": level });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
    let deployments = lab.api("apps/v1/Deployment", "default");
    deployments
        .patch("minimal-service", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .expect("patched");
    lab.rolled_out("default", "minimal-service").await;
}

/// Returns the logs of the proxies of an `app`.
async fn logs(lab: &Lab, app: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), "default");
    let params = LogParams { container: Some("linkerd-proxy".into()), ..LogParams::default() };
    let mut logs = String::new();
    for pod in lab.pods(app).await {
        logs += &pods.logs(pod["metadata"]["name"].as_str().expect("a name"), &params).await.expect("logs");
    }
    logs
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_annotation_shows_the_decisions_of_a_pods_proxy() {
    let lab = Lab::start().await;
    lab.deploy("minimal-service").await;
    annotate(&lab, "warn,linkerd=debug").await;
    lab.wait_until_served("minimal-service").await;
    let logs = logs(&lab, "minimal-service").await;
    assert!(logs.contains("method=GET path=\"/health\"}: response of the application status=200"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_log_level_shows_the_decisions_and_an_annotation_overrides_it() {
    let proxy_log = parse_log_level("debug").expect("a level");
    let lab = Lab::with(Options { api_addr: None, proxy_log, ..Options::ephemeral("test") }).await;
    lab.deploy("minimal-service").await;
    lab.deploy("bounced-service").await;
    lab.rolled_out("default", "bounced-service").await;
    annotate(&lab, "warn").await;
    lab.wait_until_served("minimal-service").await;
    lab.bounce().await;
    let default = logs(&lab, "bounced-service").await;
    assert!(default.contains("}: response of the application status="), "{default}");
    let annotated = logs(&lab, "minimal-service").await;
    assert!(!annotated.contains("response of the application"), "{annotated}");
}
