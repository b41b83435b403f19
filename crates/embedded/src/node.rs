//! The node: runs pods as tasks of this process.
//!
//! ```text
//!   watch pods ─► Kubelet ─► pod::run ─┬─ ContainerWorker::run ─► Program::run  (the test service, the proxy, …)
//!                                      │         └─ probes, log, restarts
//!                                      └─ status written to the API on each change
//! ```

mod container;
mod context;
mod env;
mod object;
mod pod;
mod probe;
mod spec;
mod state;
mod status;

pub(crate) use context::NodeContext;
pub(crate) use env::expand;
pub(crate) use pod::PodWorker;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Node, Pod};
use meshy_net::{BoxIo, Network};
use tokio::task::JoinSet;

use crate::api::{ApiError, Change, Deletion};
use crate::condition;
use crate::events::{Component, EventType};
use crate::network::PodNetwork;
use crate::object::ObjectExt;
use crate::pods::{is_bound, is_finished};
use crate::task;
use object::MAX_PODS;

/// Namespace and name of a pod.
type PodKey = (String, String);

/// The kubelet of the only node, which is also the scheduler.
pub(crate) struct Kubelet {
    context: Arc<NodeContext>,
    pods: Mutex<HashMap<PodKey, Arc<PodWorker>>>,
    /// Whether pods wait for a free place on the node.
    full: AtomicBool,
}

impl Kubelet {
    /// Creates the kubelet of a node without pods.
    pub(crate) fn new(context: NodeContext) -> Arc<Self> {
        let (pods, full) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { context: Arc::new(context), pods, full })
    }

    /// Opens a connection to a port of a pod from inside the pod: past its proxy, and to loopback as well.
    pub(crate) async fn connect(&self, pod: &PodWorker, port: u16) -> io::Result<BoxIo> {
        let inside = PodNetwork::inside(&self.context.fabric, pod.address);
        inside.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
    }

    /// Returns a pod of this node.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<PodWorker>> {
        self.pods().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn pods(&self) -> MutexGuard<'_, HashMap<PodKey, Arc<PodWorker>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the Node object, or updates its status.
    ///
    /// # Errors
    /// The API rejects it.
    pub(crate) async fn register(&self) -> Result<(), ApiError> {
        if self.context.api.get::<Node>("", &self.context.node_name).is_none() {
            self.context.api.create(&object::node(&self.context.node_name)).await?;
        }
        self.context.api.modify_status("", &self.context.node_name, object::write_status).await?;
        Ok(())
    }

    /// Runs the pods of the API until the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let (kubelet, mut changes) = (self.clone(), self.context.api.watch::<Pod>());
        task::start(tasks, async move {
            // The tasks of all pods end with this one.
            let mut workers = JoinSet::new();
            while let Some(change) = changes.next().await {
                while workers.try_join_next().is_some() {}
                match change {
                    Change::Applied(pod) => kubelet.applied(&pod, &mut workers).await,
                    Change::Deleted(pod) => {
                        kubelet.deleted(&pod);
                        kubelet.schedule_waiting(&mut workers).await;
                    }
                }
            }
        });
    }

    async fn applied(self: &Arc<Self>, pod: &Arc<Pod>, workers: &mut JoinSet<()>) {
        let key = key(pod);
        let worker = self.pods().get(&key).cloned();
        match worker.filter(|worker| worker.uid == pod.uid()) {
            Some(worker) if pod.is_deleting() => worker.terminating.cancel(),
            Some(_) => {}
            None if pod.is_deleting() => {
                let deletion = Deletion::of(pod.uid()).without_grace_period();
                let _ = self.context.api.delete::<Pod>(&key.0, &key.1, deletion).await;
            }
            None if is_finished(pod) => {}
            None => self.schedule(key, pod, workers).await,
        }
    }

    async fn schedule(self: &Arc<Self>, key: PodKey, pod: &Arc<Pod>, workers: &mut JoinSet<()>) {
        if let Some(message) = self.unschedulable_message(pod) {
            let unschedulable = |pod: &mut Pod| {
                let conditions = &mut pod.status.get_or_insert_default().conditions;
                condition::set(conditions, "PodScheduled", false, "Unschedulable", message);
            };
            let _ = self.context.api.modify_status(&key.0, &key.1, unschedulable).await;
            let component = Component::Scheduler;
            self.context
                .events
                .record(pod.as_ref(), EventType::Warning, "FailedScheduling", message, component)
                .await;
            return;
        }
        match pod::admit(&self.context, pod) {
            Ok((worker, context)) => {
                self.pods().insert(key, worker.clone());
                task::start(workers, pod::run(worker, context));
            }
            Err(error) => tracing::error!(pod = key.1, %error, "cannot admit the pod"),
        }
    }

    /// Returns why a pod cannot run on this node, as the scheduler's message.
    fn unschedulable_message(&self, pod: &Pod) -> Option<&'static str> {
        let node = self.context.api.get::<Node>("", &self.context.node_name)?;
        let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
        if selector.into_iter().flatten().any(|(key, value)| node.label(key) != Some(value)) {
            return Some("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
        }
        if self.pods().len() >= MAX_PODS {
            self.full.store(true, Ordering::Relaxed);
            return Some("0/1 nodes are available: 1 Too many pods.");
        }
        None
    }

    /// Schedules the pods that wait for a free place.
    async fn schedule_waiting(self: &Arc<Self>, workers: &mut JoinSet<()>) {
        if !self.full.swap(false, Ordering::Relaxed) {
            return;
        }
        for pod in self.context.api.list::<Pod>(None) {
            if !is_bound(&pod) {
                self.applied(&pod, workers).await;
            }
        }
    }

    fn deleted(&self, pod: &Pod) {
        let key = key(pod);
        let mut pods = self.pods();
        if let Some(worker) = pods.get(&key).filter(|worker| worker.uid == pod.uid()) {
            // The object was deleted without a grace period: the worker still stops the containers.
            worker.terminating.cancel();
            pods.remove(&key);
        }
    }
}

fn key(pod: &Pod) -> PodKey {
    (pod.namespace().to_owned(), pod.name().to_owned())
}
