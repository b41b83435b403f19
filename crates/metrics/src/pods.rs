//! Which pods there are, whose they are, and which of them have a proxy.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod as Object;
use kube::api::{Api, ListParams};
use serde::{Deserialize, Serialize};

/// The kinds of workload that an injected pod names in a label `linkerd.io/proxy-KIND`.
const KINDS: [&str; 7] =
    ["deployment", "statefulset", "daemonset", "replicationcontroller", "replicaset", "cronjob", "job"];

/// What a pod belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Workload {
    /// In lower case: `deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A pod as the tables need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its owner; a pod without an owner is its own workload.
    pub workload: Workload,
    /// The name of its ServiceAccount, the first part of its identity in the mesh.
    #[serde(default)]
    pub account: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it has a proxy.
    pub meshed: bool,
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: String,
    /// Whether it is being deleted.
    pub leaving: bool,
}

impl Pod {
    /// Reads what the tables need out of the object.
    pub fn of(object: &Object) -> Self {
        let meta = &object.metadata;
        let labels = meta.labels.clone().unwrap_or_default();
        let name = meta.name.clone().unwrap_or_default();
        let has_proxy = |spec: &k8s_openapi::api::core::v1::PodSpec| {
            let init = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(init).any(|container| container.name == "linkerd-proxy")
        };
        // Not by the label `linkerd.io/control-plane-ns`: what is built into an embedded cluster carries it without a proxy.
        let meshed = object.spec.as_ref().is_some_and(has_proxy);
        let account = object.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            workload: workload(object, &labels, &name),
            account: account.unwrap_or_else(|| "default".to_owned()),
            meshed,
            phase: object.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default(),
            leaving: meta.deletion_timestamp.is_some(),
            labels,
            name,
        }
    }

    /// Returns a running pod with a proxy for tests. The name of its Deployment is that of the pod up to the last dash.
    #[doc(hidden)]
    #[must_use]
    pub fn example(namespace: &str, name: &str) -> Self {
        let workload = name.rsplit_once('-').map_or(name, |(workload, _)| workload).to_owned();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            workload: Workload { kind: "deployment".to_owned(), name: workload },
            account: "default".to_owned(),
            labels: BTreeMap::new(),
            meshed: true,
            phase: "Running".to_owned(),
            leaving: false,
        }
    }

    /// Whether it belongs to Linkerd's control plane, whose proxies call no service of an application.
    pub fn is_control_plane(&self) -> bool {
        self.labels.contains_key("linkerd.io/control-plane-component")
    }

    /// Whether its proxy can be scraped: the pod has one, and runs.
    pub fn scrapable(&self) -> bool {
        self.meshed && matches!(self.phase.as_str(), "Running" | "Pending")
    }
}

/// From the labels of an injected pod; for others from the owner, where a ReplicaSet counts as its Deployment.
fn workload(object: &Object, labels: &BTreeMap<String, String>, pod: &str) -> Workload {
    for kind in KINDS {
        if let Some(name) = labels.get(&format!("linkerd.io/proxy-{kind}")) {
            return Workload { kind: kind.to_owned(), name: name.clone() };
        }
    }
    let owners = object.metadata.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.controller.unwrap_or(false)) else {
        return Workload { kind: "pod".to_owned(), name: pod.to_owned() };
    };
    let hash = labels.get("pod-template-hash");
    match hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-')) {
        Some(deployment) if owner.kind == "ReplicaSet" => {
            Workload { kind: "deployment".to_owned(), name: deployment.to_owned() }
        }
        _ => Workload { kind: owner.kind.to_lowercase(), name: owner.name.clone() },
    }
}

/// The pods of a namespace, or of all of them.
///
/// # Errors
/// The API's.
pub async fn list(client: &kube::Client, namespace: Option<&str>) -> anyhow::Result<Vec<Pod>> {
    let api: Api<Object> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let pods = api.list(&ListParams::default()).await.context("cannot list pods")?;
    Ok(pods.items.iter().map(Pod::of).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        Pod::of(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn an_injected_pod_names_its_workload() {
        let pod = pod(json!({
            "metadata": {"name": "a-5d-x", "namespace": "default", "labels": {
                "linkerd.io/control-plane-ns": "linkerd", "linkerd.io/proxy-statefulset": "a"}},
            "spec": {"containers": [], "initContainers": [{"name": "linkerd-proxy"}]}, "status": {"phase": "Running"},
        }));
        assert_eq!(pod.workload.to_string(), "statefulset/a");
        assert!(pod.scrapable());
    }

    #[test]
    fn the_label_of_the_control_plane_makes_no_proxy() {
        let pod = pod(json!({
            "metadata": {"name": "a", "labels": {"linkerd.io/control-plane-ns": "linkerd"}},
            "spec": {"containers": [{"name": "identity"}]}, "status": {"phase": "Running"},
        }));
        assert!(!pod.scrapable());
    }

    #[test]
    fn a_pod_without_a_proxy_belongs_to_its_owner() {
        let pod = pod(json!({
            "metadata": {"name": "b-77-x", "labels": {"pod-template-hash": "77"}, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "b-77", "uid": "1", "controller": true}]},
            "spec": {"containers": []}, "status": {"phase": "Running"},
        }));
        assert_eq!(pod.workload.to_string(), "deployment/b");
        assert!(!pod.scrapable());
    }
}
