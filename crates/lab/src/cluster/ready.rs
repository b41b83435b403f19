//! A new or restarted cluster's first minute: until its API responds and its nodes are Ready.

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
use meshy_kube::{Apply, Kinds, MANAGED_BY, MESHY, Manager, Object, manifest, wait};

/// Waits until the API server responds and `count` nodes are Ready.
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
            Err(error) => anyhow!(error).context("the cluster does not respond"),
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

/// Waits until the workloads that meshy created are ready again, for example after the nodes were started.
///
/// # Errors
/// Time ran out, or a pod is in a trouble that waiting does not fix; with the reasons.
pub async fn workloads(kinds: &Kinds, deadline: Instant, step: &Step) -> anyhow::Result<usize> {
    let mut objects = Vec::new();
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        // The embedded cluster does not serve all of them.
        let Some((resource, _)) = kinds.served("apps/v1", kind).await? else { continue };
        let api: Api<Object> = Api::all_with(kinds.client().clone(), &resource);
        let ours = ListParams::default().labels(&format!("{MANAGED_BY}={MESHY}"));
        let found = api.list(&ours).await.with_context(|| format!("cannot list objects of kind {kind}"))?;
        let types = TypeMeta { api_version: "apps/v1".to_owned(), kind: kind.to_owned() };
        objects.extend(found.items.into_iter().map(|object| Object { types: Some(types.clone()), ..object }));
    }
    wait::ready(kinds, &objects, deadline, Some(step)).await?;
    Ok(objects.len())
}

/// Shows other tools in the cluster that a local registry is there.
///
/// # Errors
/// The API server's.
pub(super) async fn publish_registry(
    client: &Client,
    record: &Record,
    deadline: Instant,
) -> anyhow::Result<()> {
    let Some(port) = record.registry_port() else { return Ok(()) };
    let objects = manifest::from_value(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public", "labels": {MANAGED_BY: "meshy"}},
        "data": {"localRegistryHosting.v1": format!("host: \"localhost:{port}\"\n")},
    }))?;
    Apply::new(&Kinds::new(client.clone()), Manager::Manifests, deadline).run(objects).await.map(drop)
}

#[cfg(test)]
mod tests {
    use kube::api::{Patch, PatchParams, PostParams};
    use meshy_base::report::Memory;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_workloads_of_a_started_lab_are_waited_for_and_those_of_others_are_not() {
        // No controllers and no node: what is written is what is read.
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let kinds = Kinds::new(Client::new(server.service(), "default"));
        let (resource, _) = kinds.resource("apps/v1", "Deployment").await.unwrap();
        let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), "default", &resource);
        for (name, owner) in [("ours", "meshy"), ("foreign", "helm")] {
            let template = json!({"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i"}]}});
            let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "labels": {MANAGED_BY: owner}},
                "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}});
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        }
        let wait = async || {
            let report = Memory::default().report();
            let step = report.step("Waiting", "for the workloads");
            workloads(&kinds, Instant::now() + Duration::from_secs(30), &step).await
        };
        let error = format!("{:#}", wait().await.unwrap_err());
        assert!(error.contains("`ours`") && !error.contains("foreign"), "{error}");
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(kinds.client().clone());
        let pod = json!({"metadata": {"name": "ours-1", "labels": {"app": "ours"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let ready =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        pods.patch_status("ours-1", &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
        let full = json!({"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "availableReplicas": 1}});
        api.patch_status("ours", &PatchParams::default(), &Patch::Merge(full)).await.unwrap();
        assert_eq!(wait().await.unwrap(), 1);
    }
}
