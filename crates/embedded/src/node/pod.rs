//! One pod from its assignment to its end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::container::{Container, Home, Restart};
use super::{Node, status};
use crate::api::{ApiError, Delete, EVENT_NORMAL, EVENT_WARNING, Object, PODS};
use crate::object::{int, is_deleting, list, name, namespace, set_condition, text, uid};

/// How long a pod that ends waits until no Service leads to it any more, before its containers are told.
const UNROUTED: Duration = Duration::from_secs(2);
/// What balancers get to drop an endpoint that is no longer listed.
const HEARSAY: Duration = Duration::from_millis(50);
/// Unless the pod says otherwise.
const GRACE: i64 = 30;

/// A pod that this node runs, as seen from outside its own tasks.
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) init: Vec<Arc<Container>>,
    pub(crate) containers: Vec<Arc<Container>>,
    /// Set when the API has marked the pod as ending.
    pub(crate) ending: CancellationToken,
}

impl Pod {
    /// A container of any sort by its name.
    pub(crate) fn container(&self, name: &str) -> Option<&Arc<Container>> {
        self.init.iter().chain(&self.containers).find(|container| container.name == name)
    }
}

/// Takes a pod on: a place on the network, its containers, and a task that sees it through.
///
/// # Errors
/// When the network has no address left.
pub(crate) fn take(node: &Arc<Node>, object: &Object) -> std::io::Result<(Arc<Pod>, Arc<Home>)> {
    let network = node.fabric.join(namespace(object), name(object))?;
    let policy = Restart::of(text(object, "/spec/restartPolicy"));
    let make = |place: &'static str, pick: fn(&Value, Restart) -> Restart| {
        list(object, &format!("/spec/{place}"))
            .iter()
            .enumerate()
            .map(|(index, spec)| Container::new(spec, place, index, pick(spec, policy)))
            .collect::<Vec<_>>()
    };
    let pod = Arc::new(Pod {
        uid: uid(object).to_owned(),
        address: network.address(),
        // An init container runs to its end, unless it is a native sidecar.
        init: make("initContainers", |spec, _| match text(spec, "/restartPolicy") {
            "Always" => Restart::Always,
            _ => Restart::OnFailure,
        }),
        containers: make("containers", |_, policy| policy),
        ending: CancellationToken::new(),
    });
    let changed = Arc::new(Notify::new());
    Ok((pod, Arc::new(Home { node: node.clone(), pod: object.clone(), network, changed })))
}

/// Sees a pod through: its containers in their order, its status, its end.
pub(crate) async fn live(pod: Arc<Pod>, home: Arc<Home>) {
    let node = home.node.clone();
    if let Err(error) = assign(&node, &home.pod, pod.address).await {
        tracing::debug!(pod = name(&home.pod), %error, "assign");
    }
    let mut tasks = JoinSet::new();
    {
        let begun = begin(&pod, &home, &mut tasks);
        tokio::pin!(begun);
        let mut all_begun = false;
        loop {
            tokio::select! {
                biased;
                () = pod.ending.cancelled() => break,
                () = &mut begun, if !all_begun => all_begun = true,
                () = home.changed.notified() => {}
            }
            write_status(&node, &pod, &home).await;
        }
    }
    end(&pod, &home, tasks).await;
}

/// Starts init containers one after another, then the others at once.
async fn begin(pod: &Arc<Pod>, home: &Arc<Home>, tasks: &mut JoinSet<()>) {
    for container in &pod.init {
        let mut past = container.watch_ready();
        tasks.spawn(container.clone().live(home.clone()));
        if past.wait_for(|past| *past).await.is_err() {
            return;
        }
    }
    for container in &pod.containers {
        tasks.spawn(container.clone().live(home.clone()));
    }
}

/// What the scheduler would do: the pod gets this node.
async fn assign(node: &Arc<Node>, object: &Object, address: Ipv4Addr) -> Result<(), ApiError> {
    let (inside, called) = (namespace(object), name(object));
    if text(object, "/spec/nodeName").is_empty() {
        node.api
            .modify(PODS, inside, called, |pod| {
                let fresh = text(pod, "/spec/nodeName").is_empty();
                pod["spec"]["nodeName"] = json!(node.name);
                fresh
            })
            .await?;
        let words = format!("Successfully assigned {inside}/{called} to {}", node.name);
        node.api.event(object, "Pod", "v1", EVENT_NORMAL, "Scheduled", &words, "default-scheduler").await;
    }
    node.api
        .modify_status(PODS, inside, called, |pod| {
            let address = address.to_string();
            pod["status"]["phase"] = json!("Pending");
            pod["status"]["hostIP"] = json!(crate::network::NODE_ADDRESS.to_string());
            pod["status"]["hostIPs"] = json!([{ "ip": crate::network::NODE_ADDRESS.to_string() }]);
            pod["status"]["podIP"] = json!(address);
            pod["status"]["podIPs"] = json!([{ "ip": address }]);
            pod["status"]["startTime"] = json!(crate::object::now());
            set_condition(pod, "PodScheduled", true, "", "");
            true
        })
        .await?;
    Ok(())
}

async fn write_status(node: &Arc<Node>, pod: &Pod, home: &Home) {
    let written = node
        .api
        .modify_status(PODS, namespace(&home.pod), name(&home.pod), |object| {
            uid(object) == pod.uid && status::write(object, pod)
        })
        .await;
    if let Err(error) = written
        && !matches!(error, ApiError::NotFound)
    {
        tracing::warn!(pod = name(&home.pod), %error, "write the pod's status");
        // Try again soon: a status that is not written is a pod that looks stuck.
        sleep(Duration::from_millis(100)).await;
        home.changed.notify_one();
    }
}

/// Ends a pod so that no request is lost: first nothing leads to it, then it finishes what it has, then it goes.
async fn end(pod: &Arc<Pod>, home: &Arc<Home>, mut tasks: JoinSet<()>) {
    let node = &home.node;
    let (inside, called) = (namespace(&home.pod), name(&home.pod));
    let now = node.api.get(PODS, inside, called);
    let grace = now.as_deref().and_then(|pod| int(pod, "/metadata/deletionGracePeriodSeconds"));
    let grace = grace.or_else(|| int(&home.pod, "/spec/terminationGracePeriodSeconds")).unwrap_or(GRACE);
    let grace = Duration::from_secs(grace.max(0).unsigned_abs());
    for container in
        pod.containers.iter().chain(&pod.init).filter(|container| container.status().is_running())
    {
        let words = format!("Stopping container {}", container.name);
        let place = if pod.init.iter().any(|init| init.name == container.name) {
            "initContainers"
        } else {
            "containers"
        };
        node.api.pod_event(&home.pod, place, &container.name, EVENT_NORMAL, "Killing", &words).await;
    }
    let over = async {
        let _ = timeout(UNROUTED, node.topology.unrouted(pod.address)).await;
        // Each proxy's balancer hears of it in a task of its own, a moment later.
        sleep(HEARSAY).await;
        for container in &pod.containers {
            container.stop();
        }
        while pod.containers.iter().any(|container| container.status().is_running()) {
            home.changed.notified().await;
        }
        // Sidecars go last and in reverse, so that the application has its proxy to the end.
        for container in pod.init.iter().rev() {
            container.stop();
        }
        while tasks.join_next().await.is_some() {}
    };
    if timeout(grace, over).await.is_err() {
        let words = format!("Containers did not end within {} s and were killed", grace.as_secs());
        node.api.event(&home.pod, "Pod", "v1", EVENT_WARNING, "ExceededGracePeriod", &words, "kubelet").await;
    }
    tasks.abort_all();
    write_status(node, pod, home).await;
    node.fabric.leave(pod.address);
    let still_ours = node.api.get(PODS, inside, called).is_some_and(|object| uid(&object) == pod.uid);
    if still_ours {
        match node.api.delete(PODS, inside, called, Delete::of(&pod.uid).now()).await {
            Ok(()) | Err(ApiError::NotFound | ApiError::Conflict) => {}
            Err(error) => tracing::warn!(pod = called, %error, "delete the ended pod"),
        }
    }
}

/// Whether a pod's object means it is to end.
pub(crate) fn must_end(object: &Value) -> bool {
    is_deleting(object)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::{Container, live};

    fn size_of_first<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_tasks_of_a_pod_stay_small() {
        let (pod, container) = (size_of_first(live), size_of_first(Container::live));
        // A pod may take 64 KiB in all; the service's own memory and its streams come on top of this.
        assert!(pod + container < 32 * 1024, "{pod} + {container} bytes");
    }
}
