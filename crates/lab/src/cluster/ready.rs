//! A new or restarted cluster's first minute: until its API answers and its nodes are Ready.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::TypeMeta;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::lab::Record;
use meshy_base::Step;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Apply, Kinds, MANAGED_BY, Manager, Object, manifest, wait};

/// Waits until the API server answers and `count` nodes are Ready.
///
/// # Errors
/// Time ran out, with what was missing.
pub(super) async fn nodes(
    client: &Client,
    count: usize,
    deadline: Instant,
    step: &Step,
) -> anyhow::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes = loop {
        // Nothing can be watched before the API server is there.
        let missing = match api.list(&ListParams::default()).await {
            Ok(list) if list.items.len() >= count => break list.items,
            Ok(list) => anyhow!("{} of {count} nodes have joined", list.items.len()),
            Err(error) => anyhow!(error).context("the cluster does not answer"),
        };
        if Instant::now() >= deadline {
            return Err(missing).context("the nodes were not there in time").exit(Exit::Timeout);
        }
        step.waiting(&missing.to_string());
        sleep(Duration::from_millis(200)).await;
    };
    let types = TypeMeta { api_version: "v1".to_owned(), kind: "Node".to_owned() };
    let node =
        |n: &Node| Object { types: Some(types.clone()), metadata: n.metadata.clone(), data: json!({}) };
    let objects: Vec<Object> = nodes.iter().map(node).collect();
    wait::ready(&Kinds::new(client.clone()), &objects, deadline, Some(step))
        .await
        .context("the nodes are not Ready")
}

/// Shows other tools in the cluster that a local registry is there.
///
/// # Errors
/// The API server's.
pub(super) async fn tell_registry(client: &Client, record: &Record, deadline: Instant) -> anyhow::Result<()> {
    let Some(port) = record.registry_port else { return Ok(()) };
    let objects = manifest::from_value(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public", "labels": {MANAGED_BY: "meshy"}},
        "data": {"localRegistryHosting.v1": format!("host: \"localhost:{port}\"\n")},
    }))?;
    Apply::new(&Kinds::new(client.clone()), Manager::Manifests, deadline).run(objects).await.map(drop)
}
