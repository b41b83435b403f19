//! One pod from its admission to its deletion.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HostIP, Pod, PodIP};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::container::ContainerWorker;
use super::context::{NodeContext, PodContext};
use super::spec::{ContainerList, RestartPolicy, grace_period};
use super::status;
use crate::api::{ApiError, Deletion};
use crate::condition;
use crate::events::{Component, EventType};
use crate::network::{NODE_ADDRESS, PodNetwork};
use crate::object::{ObjectExt, now};
use crate::pods::is_bound;

/// How long a terminating pod waits until no Service routes to it, before its containers are stopped.
const UNROUTE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time that balancers need to drop an endpoint that is not listed any more.
const BALANCER_DELAY: Duration = Duration::from_millis(50);
/// The delay before a failed status update is repeated.
const STATUS_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A pod on this node, as the API and the kubelet see it.
pub(crate) struct PodWorker {
    pub(super) uid: String,
    pub(crate) address: Ipv4Addr,
    pub(super) init_containers: Vec<Arc<ContainerWorker>>,
    pub(crate) containers: Vec<Arc<ContainerWorker>>,
    /// Cancelled when the pod is terminating.
    pub(super) terminating: CancellationToken,
}

impl PodWorker {
    /// Returns a container or init container by name.
    pub(crate) fn container(&self, name: &str) -> Option<&Arc<ContainerWorker>> {
        self.all_containers().find(|container| container.name == name)
    }

    fn all_containers(&self) -> impl Iterator<Item = &Arc<ContainerWorker>> {
        self.containers.iter().chain(&self.init_containers)
    }
}

/// Admits a pod: adds it to the network and creates the workers of its containers.
///
/// # Errors
/// The network has no free address.
pub(super) fn admit(
    node: &Arc<NodeContext>,
    pod: &Arc<Pod>,
) -> std::io::Result<(Arc<PodWorker>, Arc<PodContext>)> {
    let network = PodNetwork::join(&node.fabric, pod.namespace(), pod.name())?;
    let policy = RestartPolicy::of_pod(pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()));
    let workers = |list: ContainerList| {
        let containers = list.of(pod).iter().enumerate();
        let worker = |(index, spec): (usize, &Container)| {
            let policy = match (list, spec.restart_policy.as_deref()) {
                (ContainerList::Main, _) => policy,
                // A native sidecar.
                (ContainerList::Init, Some("Always")) => RestartPolicy::Always,
                (ContainerList::Init, _) => RestartPolicy::OnFailure,
            };
            ContainerWorker::new(spec, list, index, policy)
        };
        containers.map(worker).collect::<Vec<_>>()
    };
    let worker = Arc::new(PodWorker {
        uid: pod.uid().to_owned(),
        address: network.address(),
        init_containers: workers(ContainerList::Init),
        containers: workers(ContainerList::Main),
        terminating: CancellationToken::new(),
    });
    let context = PodContext { node: node.clone(), pod: pod.clone(), network, changed: Notify::new() };
    Ok((worker, Arc::new(context)))
}

/// Runs a pod until it is deleted: starts its containers in order, writes its status, terminates it.
pub(super) async fn run(worker: Arc<PodWorker>, context: Arc<PodContext>) {
    if let Err(error) = bind(&context, worker.address).await {
        tracing::debug!(pod = context.pod.name(), %error, "cannot bind the pod to the node");
    }
    let mut tasks = JoinSet::new();
    {
        let started = start_containers(&worker, &context, &mut tasks);
        tokio::pin!(started);
        let mut all_started = false;
        loop {
            tokio::select! {
                biased;
                () = worker.terminating.cancelled() => break,
                () = &mut started, if !all_started => all_started = true,
                () = context.changed.notified() => {}
            }
            write_status(&worker, &context).await;
        }
    }
    terminate(&worker, &context, tasks).await;
}

/// Starts the init containers one after another, then the other containers together.
async fn start_containers(worker: &PodWorker, context: &Arc<PodContext>, tasks: &mut JoinSet<()>) {
    for container in &worker.init_containers {
        let mut completed = container.watch_completed();
        tasks.spawn(container.clone().run(context.clone()));
        if completed.wait_for(|completed| *completed).await.is_err() {
            return;
        }
    }
    for container in &worker.containers {
        tasks.spawn(container.clone().run(context.clone()));
    }
}

/// Binds the pod to this node, as the scheduler does, and writes its addresses.
async fn bind(context: &PodContext, address: Ipv4Addr) -> Result<(), ApiError> {
    let (node, pod) = (&context.node, &context.pod);
    let (namespace, name) = (pod.namespace(), pod.name());
    if !is_bound(pod) {
        let bind = |pod: &mut Pod| {
            pod.spec.get_or_insert_default().node_name = Some(node.node_name.clone());
        };
        node.api.modify(namespace, name, bind).await?;
        let message = format!("Successfully assigned {namespace}/{name} to {}", node.node_name);
        let events = &node.events;
        events.record(pod.as_ref(), EventType::Normal, "Scheduled", &message, Component::Scheduler).await;
    }
    let addresses = |pod: &mut Pod| {
        let status = pod.status.get_or_insert_default();
        let (pod_ip, host_ip) = (address.to_string(), NODE_ADDRESS.to_string());
        status.phase = Some("Pending".to_owned());
        status.host_ips = Some(vec![HostIP { ip: host_ip.clone() }]);
        status.host_ip = Some(host_ip);
        status.pod_ips = Some(vec![PodIP { ip: pod_ip.clone() }]);
        status.pod_ip = Some(pod_ip);
        status.start_time = Some(now());
        condition::set(&mut status.conditions, "PodScheduled", true, "", "");
    };
    node.api.modify_status(namespace, name, addresses).await?;
    Ok(())
}

async fn write_status(worker: &PodWorker, context: &PodContext) {
    let pod = &context.pod;
    let write = |object: &mut Pod| {
        if object.uid() == worker.uid {
            status::write(object, &worker.init_containers, &worker.containers);
        }
    };
    let written = context.node.api.modify_status(pod.namespace(), pod.name(), write).await;
    if let Err(error) = written
        && !matches!(error, ApiError::NotFound)
    {
        tracing::warn!(pod = pod.name(), %error, "cannot write the status of the pod");
        sleep(STATUS_RETRY_DELAY).await;
        context.changed.notify_one();
    }
}

/// Terminates a pod without failed requests: first no Service routes to it, then its containers finish their requests,
/// then the object is deleted.
async fn terminate(worker: &PodWorker, context: &PodContext, mut tasks: JoinSet<()>) {
    let (node, pod) = (&context.node, &context.pod);
    for container in worker.all_containers().filter(|container| container.status().is_running()) {
        let message = format!("Stopping container {}", container.name);
        container.event(context, EventType::Normal, "Killing", &message).await;
    }
    let grace_period = deletion_grace_period(context);
    if timeout(grace_period, stop_containers(worker, context, &mut tasks)).await.is_err() {
        let seconds = grace_period.as_secs();
        let message = format!("Containers did not exit within {seconds} s and were killed");
        let reason = "ExceededGracePeriod";
        node.events.record(pod.as_ref(), EventType::Warning, reason, &message, Component::Kubelet).await;
    }
    tasks.abort_all();
    write_status(worker, context).await;
    node.fabric.leave(worker.address);
    let current = node.api.get::<Pod>(pod.namespace(), pod.name());
    if current.is_some_and(|current| current.uid() == worker.uid) {
        let deletion = Deletion::of(&worker.uid).without_grace_period();
        match node.api.delete::<Pod>(pod.namespace(), pod.name(), deletion).await {
            Ok(()) | Err(ApiError::NotFound | ApiError::Conflict) => {}
            Err(error) => tracing::warn!(pod = pod.name(), %error, "cannot delete the terminated pod"),
        }
    }
}

/// Returns the grace period of the deletion, by default that of the pod.
fn deletion_grace_period(context: &PodContext) -> Duration {
    let pod = &context.pod;
    let current = context.node.api.get::<Pod>(pod.namespace(), pod.name());
    match current.and_then(|current| current.metadata.deletion_grace_period_seconds) {
        Some(seconds) => Duration::from_secs(seconds.max(0).unsigned_abs()),
        None => grace_period(pod),
    }
}

async fn stop_containers(worker: &PodWorker, context: &PodContext, tasks: &mut JoinSet<()>) {
    let _ = timeout(UNROUTE_TIMEOUT, context.node.services.wait_until_unrouted(worker.address)).await;
    sleep(BALANCER_DELAY).await;
    for container in &worker.containers {
        container.stop();
    }
    while worker.containers.iter().any(|container| container.status().is_running()) {
        context.changed.notified().await;
    }
    // Sidecars stop last and in reverse order, so that the application has its proxy until it exits.
    for container in worker.init_containers.iter().rev() {
        container.stop();
    }
    while tasks.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::{ContainerWorker, run};

    fn future_size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_tasks_of_a_pod_stay_small() {
        let (pod, container) = (future_size(run), future_size(ContainerWorker::run));
        // A pod has a budget of 64 KiB; the memory of its program and its streams comes on top of this.
        assert!(pod + container < 32 * 1024, "{pod} + {container} bytes");
    }
}
