//! The node: pods as tasks of this process.
//!
//! ```text
//!   watch pods ─► Node ─► pod::live ─┬─ container::live ─► programs::run   (the test service, the proxy, …)
//!                                    │        └─ probes, log, restarts
//!                                    └─ status written to the API at each change
//! ```

mod container;
mod env;
pub(crate) mod images;
pub(crate) mod logs;
mod pod;
mod probe;
mod programs;
mod secret;
mod state;
mod status;

pub(crate) use container::Home;
pub(crate) use pod::Pod;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{Api, ApiError, Change, Delete, EVENT_WARNING, NODES, Object, PODS};
use crate::mesh::Mesh;
use crate::network::{Fabric, NODE_ADDRESS};
use crate::object::{self, name, namespace, text, uid};
use crate::topology::Topology;

/// Pods that one node takes.
const MOST_PODS: usize = 2000;

/// What the tasks of all pods share.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) api: Api,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) mesh: Arc<Mesh>,
    pods: Mutex<HashMap<(String, String), Arc<Pod>>>,
    /// Pods had to wait for a place.
    full: AtomicBool,
}

impl Node {
    /// A node without pods.
    pub(crate) fn new(
        name: String,
        api: Api,
        fabric: Arc<Fabric>,
        topology: Arc<Topology>,
        mesh: Arc<Mesh>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            api,
            fabric,
            topology,
            mesh,
            pods: Mutex::default(),
            full: AtomicBool::new(false),
        })
    }

    /// A pod this node runs.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn pods(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<Pod>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the node's own object.
    ///
    /// # Errors
    /// When the API refuses it.
    pub(crate) async fn register(&self) -> Result<(), ApiError> {
        if self.api.get(NODES, "", &self.name).is_none() {
            self.api.create(NODES, "", self.object()).await?;
        }
        let version = format!("v{}.0", crate::KUBERNETES);
        let resources = json!({ "cpu": "8", "memory": "16Gi", "pods": MOST_PODS.to_string() });
        self.api
            .modify_status(NODES, "", &self.name, |node| {
                let before = node["status"].clone();
                node["status"]["capacity"] = resources.clone();
                node["status"]["allocatable"] = resources.clone();
                node["status"]["addresses"] = json!([
                    { "type": "InternalIP", "address": NODE_ADDRESS.to_string() },
                    { "type": "Hostname", "address": self.name },
                ]);
                node["status"]["nodeInfo"] = json!({
                    "architecture": arch(), "bootID": "", "containerRuntimeVersion": concat!("meshy://", env!("CARGO_PKG_VERSION")),
                    "kernelVersion": "none", "kubeProxyVersion": "", "kubeletVersion": version, "machineID": "",
                    "operatingSystem": "linux", "osImage": "meshy's embedded cluster", "systemUUID": "",
                });
                object::set_condition(node, "Ready", true, "KubeletReady", "pods run as tasks of meshy's process");
                node["status"] != before
            })
            .await?;
        Ok(())
    }

    fn object(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": arch(),
                    "node-role.kubernetes.io/control-plane": "",
                    "ingress-ready": "true",
                },
            },
            "spec": { "podCIDR": "10.244.0.0/16", "podCIDRs": ["10.244.0.0/16"] },
        })
    }

    /// Follows the pods of the API until the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let (node, mut changes) = (self.clone(), self.api.watch(PODS));
        tasks.spawn(async move {
            // Each pod's tasks end with this one.
            let mut lives = JoinSet::new();
            while let Some(change) = changes.next().await {
                while lives.try_join_next().is_some() {}
                match change {
                    Change::Applied(object) => node.applied(&object, &mut lives).await,
                    Change::Deleted(object) => {
                        node.deleted(&object);
                        node.fill(&mut lives).await;
                    }
                }
            }
        });
    }

    async fn applied(self: &Arc<Self>, object: &Object, lives: &mut JoinSet<()>) {
        let key = (namespace(object).to_owned(), name(object).to_owned());
        let known = self.pods().get(&key).cloned();
        match known.filter(|pod| pod.uid == uid(object)) {
            Some(pod) if pod::must_end(object) => pod.ending.cancel(),
            Some(_) => {}
            None if pod::must_end(object) => {
                let now = Delete::of(uid(object)).now();
                let _ = self.api.delete(PODS, &key.0, &key.1, now).await;
            }
            None if matches!(text(object, "/status/phase"), "Succeeded" | "Failed") => {}
            None => self.take(key, object, lives).await,
        }
    }

    async fn take(self: &Arc<Self>, key: (String, String), object: &Object, lives: &mut JoinSet<()>) {
        if let Some(reason) = self.refuses(object) {
            let _ = self
                .api
                .modify_status(PODS, &key.0, &key.1, |pod| {
                    object::set_condition(pod, "PodScheduled", false, "Unschedulable", &reason)
                })
                .await;
            self.api
                .event(object, "Pod", "v1", EVENT_WARNING, "FailedScheduling", &reason, "default-scheduler")
                .await;
            return;
        }
        match pod::take(self, object) {
            Ok((pod, home)) => {
                self.pods().insert(key, pod.clone());
                lives.spawn(pod::live(pod, home));
            }
            Err(error) => tracing::error!(pod = key.1, %error, "take the pod on"),
        }
    }

    fn refuses(&self, pod: &Value) -> Option<String> {
        let node = self.api.get(NODES, "", &self.name)?;
        let wanted = pod.pointer("/spec/nodeSelector").and_then(Value::as_object).into_iter().flatten();
        if wanted.into_iter().any(|(key, value)| object::label(&node, key) != value.as_str()) {
            return Some(
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.".to_owned(),
            );
        }
        let full = self.pods().len() >= MOST_PODS;
        if full {
            self.full.store(true, Ordering::Relaxed);
        }
        full.then(|| "0/1 nodes are available: 1 Too many pods.".to_owned())
    }

    /// Takes on pods that had to wait for a place.
    async fn fill(self: &Arc<Self>, lives: &mut JoinSet<()>) {
        if !self.full.swap(false, Ordering::Relaxed) {
            return;
        }
        for object in self.api.list(PODS, None) {
            if text(&object, "/spec/nodeName").is_empty() {
                self.applied(&object, lives).await;
            }
        }
    }

    fn deleted(&self, object: &Value) {
        let key = (namespace(object).to_owned(), name(object).to_owned());
        let mut pods = self.pods();
        if let Some(pod) = pods.get(&key).filter(|pod| pod.uid == uid(object)) {
            // Deleted without grace: its task ends what is left of it.
            pod.ending.cancel();
            pods.remove(&key);
        }
    }
}

/// The machine's architecture in the words of image platforms.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
