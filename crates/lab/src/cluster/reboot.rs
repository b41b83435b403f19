//! A cluster that was started again, as by a reboot: until its kubelets have spoken, its API shows what was true before.

use meshy_kube::failure;
use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use kube::api::Api;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tokio::time::{Instant, timeout_at};

use meshy_base::Step;
use meshy_base::error::{Advise, Exit};
use meshy_kube::wait;

/// Waits until each node has spoken of itself and of its pods since it was started; then nodes that are Ready and pods that
/// run are so now.
///
/// # Errors
/// Time ran out, with what is still from before.
pub(super) async fn reported_again(
    client: &Client,
    started: &BTreeMap<String, Timestamp>,
    deadline: Instant,
    step: &Step,
) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let each = started
        .iter()
        .map(|(name, at)| wait::until(nodes.clone(), name, deadline, Some(step), |node| silence(node, *at)));
    try_join_all(each).await?;
    let mut why = "the pods are not known yet".to_owned();
    if timeout_at(deadline, pods(client, started, step, &mut why)).await.is_err() {
        let error = Err(anyhow!("{why}")).context("the nodes did not take up their pods in time");
        return error.exit(Exit::Timeout);
    }
    Ok(())
}

/// Watches until no pod is as it was before.
async fn pods(client: &Client, started: &BTreeMap<String, Timestamp>, step: &Step, why: &mut String) {
    let (mut old, mut whole) = (BTreeMap::new(), false);
    let api: Api<Pod> = Api::all(client.clone());
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => (old, whole) = (BTreeMap::new(), false),
            Ok(Event::InitDone) => whole = true,
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => match runs_since_before(&pod, started) {
                Some(node) => {
                    old.insert(pod.uid(), (node, pod.name_any()));
                }
                None => {
                    old.remove(&pod.uid());
                }
            },
            Ok(Event::Delete(pod)) => {
                old.remove(&pod.uid());
            }
            Err(error) => *why = failure::plain(&error.into()),
        }
        match old.values().next() {
            Some((node, pod)) => {
                *why = format!("node `{node}` has not reported again how its pod `{pod}` is");
            }
            None if whole => return,
            None => {}
        }
        step.waiting(why);
    }
}

/// What a node's own status does not show; its kubelet reports Ready with its first status.
fn silence(node: Option<&Node>, started: Timestamp) -> Option<String> {
    let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    let text = ready.and_then(|ready| ready.last_heartbeat_time.as_ref());
    // The API has whole seconds.
    if text.is_none_or(|text| text.0.as_second() < started.as_second()) {
        return Some("its kubelet has reported nothing since it was started".to_owned());
    }
    ready.filter(|ready| ready.status != "True").map(|_| "it is not Ready".to_owned())
}

/// The node of a pod with a container that is reported to run since before that node was started, which cannot be.
fn runs_since_before<'a>(pod: &Pod, started: &'a BTreeMap<String, Timestamp>) -> Option<&'a str> {
    let (node, at) = started.get_key_value(pod.spec.as_ref()?.node_name.as_deref()?)?;
    let status = pod.status.as_ref()?;
    let (init, main) = (status.init_container_statuses.iter(), status.container_statuses.iter());
    let begun = |container: &ContainerStatus| container.state.as_ref()?.running.as_ref()?.started_at.clone();
    let mut begun = init.chain(main).flatten().filter_map(begun);
    begun.any(|begun| begun.0.as_second() < at.as_second()).then_some(node.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::api::{Patch, PatchParams, PostParams};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;
    use meshy_base::report::Memory;

    async fn make<K>(api: &Api<K>, object: serde_json::Value, status: serde_json::Value)
    where
        K: Clone + std::fmt::Debug + DeserializeOwned + Serialize + kube::Resource,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let made = api.create(&PostParams::default(), &object).await.unwrap();
        set_status(api, &made.meta().name.clone().unwrap(), status).await;
    }

    async fn set_status<K>(api: &Api<K>, name: &str, status: serde_json::Value)
    where
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    fn node(heartbeat: &str) -> serde_json::Value {
        json!({"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}]})
    }

    fn pod(begun: &str) -> serde_json::Value {
        json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": begun}}}]})
    }

    #[tokio::test(start_paused = true)]
    async fn status_from_before_a_restart_of_a_node_is_ignored() {
        const BEFORE: &str = "2026-01-01T00:00:00Z";
        const AFTER: &str = "2026-01-01T00:01:05Z";
        let started = BTreeMap::from([("n".to_owned(), "2026-01-01T00:01:00.5Z".parse().unwrap())]);
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let client = Client::new(server.service(), "default");
        let (nodes, pods) =
            (Api::<Node>::all(client.clone()), Api::<Pod>::default_namespaced(client.clone()));
        make(&nodes, json!({"metadata": {"name": "n"}}), node(BEFORE)).await;
        let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}]});
        make(&pods, json!({"metadata": {"name": "p"}, "spec": spec}), pod(BEFORE)).await;

        let wait = async || {
            let report = Memory::default().report();
            let step = report.step("Waiting", "for the nodes");
            reported_again(&client, &started, Instant::now() + Duration::from_secs(30), &step).await
        };
        let error = format!("{:#}", wait().await.unwrap_err());
        assert!(error.contains("its kubelet has reported nothing since it was started"), "{error}");
        set_status(&nodes, "n", node(AFTER)).await;
        let error = format!("{:#}", wait().await.unwrap_err());
        assert!(error.contains("`p`"), "{error}");
        set_status(&pods, "p", pod(AFTER)).await;
        wait().await.unwrap();
    }
}
