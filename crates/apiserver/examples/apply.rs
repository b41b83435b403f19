//! Applies Deployments with server-side apply, 16 at a time: `apply KUBECONFIG COUNT`. The client of `bench/apiserver-apply`.

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, count] = arguments.as_slice() else { return Err("usage: apply KUBECONFIG COUNT".into()) };
    let file = kube::config::Kubeconfig::read_from(file)?;
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await?;
    let deployments: Api<Deployment> = Api::default_namespaced(kube::Client::try_from(config)?);
    let apply = |number: usize| {
        let name = format!("bench-{number}");
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": {"app": name, "bench": "yes"}},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
                    "name": "app", "image": "registry.example/app:1", "ports": [{"containerPort": 9090}],
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 9090}},
                }]}},
            },
        });
        let deployments = deployments.clone();
        async move {
            deployments.patch(&name, &PatchParams::apply("bench"), &Patch::Apply(&object)).await.map(drop)
        }
    };
    let mut responses = futures::stream::iter(0..count.parse()?).map(apply).buffer_unordered(16);
    while let Some(response) = responses.next().await {
        response?;
    }
    Ok(())
}
