//! The pods behind a workload: what they wait for, and the words that tell why one will not come.

use crate::failure;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::anyhow;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tokio::time::Instant;

use super::super::Object;
use super::super::manifest::kind;
use super::super::readiness::{PodFailure, PodState, PodStates, has_failed};
use meshy_base::error::AdviseError;

/// How long no node may take a pod, all nodes being Ready, before that counts as final.
const UNSCHEDULABLE: Duration = Duration::from_secs(30);

/// How many lines of a failed container's log are read, and how many of them are reported.
const LOG_LINES: i64 = 50;
const QUOTED_LINES: usize = 3;

/// What stands in a line that reports an error; a program often writes others after it while it ends.
const ERROR_MARKS: [&str; 7] = ["emerg", "crit", "alert", "fatal", "panic", "error", "exception"];

/// Where a Deployment and its ReplicaSets record which of them belongs to the latest template.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// How to find the pods of an object; none where it has no pods.
pub(super) fn pods_of(object: &Object) -> Option<watcher::Config> {
    if kind(object) == "Pod" {
        return Some(watcher::Config::default().fields(&format!("metadata.name={}", object.name_any())));
    }
    let labels = object.data["spec"]["selector"]["matchLabels"].as_object()?;
    let each = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(watcher::Config::default().labels(&each.collect::<Vec<_>>().join(",")))
}

/// What is known of a workload's pods.
pub(super) struct Workload {
    client: Client,
    namespace: String,
    revision: Option<String>,
    pod_states: PodStates,
    pods: HashMap<String, (Pod, PodState)>,
    listed: Listed,
    unschedulable_since: Option<Instant>,
}

/// How far the pods are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// Not all were reported yet.
    Partly,
    Whole,
    /// They may not be seen: the workload's own status is all there is.
    Never,
}

impl Workload {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            revision: None,
            pod_states: PodStates::default(),
            pods: HashMap::new(),
            listed: Listed::Partly,
            unschedulable_since: None,
        }
    }

    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Notes the owner's latest state.
    pub(super) fn owner(&mut self, object: &Object) {
        self.revision = object.annotations().get(REVISION).cloned();
    }

    /// Notes news of a pod.
    pub(super) fn note(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => {
                self.pods.clear();
                self.listed = Listed::Partly;
            }
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                let pod_state = self.pod_states.of(&pod);
                self.pods.insert(pod.name_any(), (pod, pod_state));
            }
            watcher::Event::Delete(pod) => {
                self.pods.remove(&pod.name_any());
            }
            watcher::Event::InitDone => self.listed = Listed::Whole,
        }
        let stuck = self.pods.values().any(|(_, o)| matches!(o, PodState::Unschedulable(_)));
        self.unschedulable_since = stuck.then(|| self.unschedulable_since.unwrap_or_else(Instant::now));
    }

    /// Notes why the pods cannot be watched, in words if that may pass.
    pub(super) fn blind(&mut self, error: watcher::Error) -> Option<String> {
        use watcher::Error::{InitialListFailed, WatchStartFailed};
        if let InitialListFailed(error) | WatchStartFailed(error) = &error
            && failure::is_forbidden(error)
        {
            self.listed = Listed::Never;
            return None;
        }
        Some(failure::plain(&error.into()))
    }

    /// What is still missing when the workload's own status counts this many pods as ready. It is its controller's word, and
    /// one that has just started again, as after a reboot, reports for a while what was true before.
    pub(super) fn behind(&self, wanted: i64) -> Option<String> {
        // One on its way out is fine, too, and does not count.
        let is_ready = |(pod, pod_state): &&(Pod, PodState)| {
            *pod_state == PodState::Done && pod.metadata.deletion_timestamp.is_none()
        };
        let ready = self.pods.values().filter(is_ready).count() as i64;
        match self.listed {
            Listed::Never => None,
            Listed::Partly => Some("its pods are not known yet".to_owned()),
            Listed::Whole => (ready < wanted).then(|| format!("{ready} of {wanted} pods Ready")),
        }
    }

    /// What the first pod that is not ready waits for.
    pub(super) fn waiting(&self) -> Option<&str> {
        self.pods.values().find_map(|(_, pod_state)| match pod_state {
            PodState::Waiting(why) | PodState::Unschedulable(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// A failure of a pod of the latest template that waiting does not fix.
    pub(super) async fn failure(&self) -> Option<(Pod, PodFailure)> {
        for (pod, pod_state) in self.pods.values() {
            let failure = match pod_state {
                PodState::Failed(failure) => failure.clone(),
                PodState::Unschedulable(why)
                    if self.unschedulable_since.is_some_and(|since| since.elapsed() >= UNSCHEDULABLE)
                        && self.all_nodes_ready().await =>
                {
                    PodFailure::Unschedulable(why.clone())
                }
                _ => continue,
            };
            if self.is_latest(pod).await {
                return Some((pod.clone(), failure));
            }
        }
        None
    }

    /// A pod of an older ReplicaSet is on its way out and may be as broken as it likes.
    async fn is_latest(&self, pod: &Pod) -> bool {
        let owner = pod.owner_references().iter().find(|o| o.kind == "ReplicaSet");
        let (Some(owner), Some(revision)) = (owner, &self.revision) else { return true };
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &self.namespace);
        match sets.get_metadata_opt(&owner.name).await {
            Ok(Some(set)) => set.annotations().get(REVISION).is_none_or(|r| r == revision),
            Ok(None) => false,
            // Without the right to look, every pod counts; a request that failed is sent again at the next look.
            Err(error) => failure::is_forbidden(&error),
        }
    }

    async fn all_nodes_ready(&self) -> bool {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let Ok(nodes) = nodes.list(&ListParams::default()).await else { return false };
        nodes.items.iter().all(crate::is_node_ready)
    }

    /// The failure as an error: the runtime's words, the log line or the event that reports why, and what to do.
    pub(super) async fn explain(&self, pod: &Pod, failure: &PodFailure) -> anyhow::Error {
        let name = pod.name_any();
        match failure {
            PodFailure::Image { image, why } => {
                let error = anyhow!("{why}").context(format!("pod `{name}` cannot get image `{image}`"));
                let hint = "check the image's name and that the node can reach its registry; \
                            `meshy push IMAGE` copies one into the private registry";
                error.hint(hint).id(super::IMAGE_UNAVAILABLE)
            }
            PodFailure::Restarts { container, why } => {
                let mut error =
                    anyhow!("pod `{name}`: container `{container}` exits again and again ({why})");
                if let Some(log) = self.last_words(&name, container).await {
                    error = anyhow!("its log ends with: {log}").context(error.to_string());
                }
                error
            }
            PodFailure::Ended { container, why } => {
                let log = match container.as_str() {
                    "" => {
                        let text = format!("pod `{name}` does not start again: {why}");
                        return match self.last_warning(pod).await {
                            Some(event) => anyhow!(event).context(text),
                            None => anyhow!(text),
                        };
                    }
                    container => self.log(&name, container, false).await,
                };
                let text = format!("pod `{name}`: container `{container}` does not start again: {why}");
                match log {
                    Some(log) => anyhow!("its log ends with: {log}").context(text),
                    None => anyhow!(text),
                }
            }
            PodFailure::Unschedulable(why) => {
                let event = self.last_warning(pod).await;
                anyhow!("{}", event.filter(|e| !why.contains(e.as_str())).unwrap_or_default())
                    .context(why.clone())
            }
        }
    }

    /// What a pod of the object that is not ready reports: the end of the log of a container that has failed, else the latest
    /// warning about it (a failing probe, a volume that does not come), else the end of its log.
    pub(super) async fn quote(&self, object: &Object) -> Option<String> {
        let labels = pods_of(object)?.label_selector?;
        let pods = self.pods().list(&ListParams::default().labels(&labels)).await.ok()?;
        let pod =
            pods.items.into_iter().find(|pod| !matches!(PodStates::default().of(pod), PodState::Done))?;
        let name = pod.name_any();
        let quoted = |container: &str, log| {
            format!("the log of pod `{name}`, container `{container}`, ends with: {log}")
        };
        let status = pod.status.iter();
        let containers = status.clone().flat_map(|status| status.container_statuses.iter().flatten());
        let init = status.flat_map(|status| status.init_container_statuses.iter().flatten());
        if let Some(failed) = containers.clone().chain(init).find(|container| has_failed(container))
            && let Some(log) = self.log(&name, &failed.name, false).await
        {
            return Some(quoted(&failed.name, log));
        }
        if let Some(event) = self.last_warning(&pod).await {
            return Some(format!("pod `{name}`: {}", event.trim()));
        }
        let container = containers.into_iter().find(|container| !container.ready)?.name.as_str();
        Some(quoted(container, self.log(&name, container, false).await?))
    }

    /// The end of the log of a container that waits for its next start.
    async fn last_words(&self, pod: &str, container: &str) -> Option<String> {
        match self.log(pod, container, false).await {
            // It has started again and written nothing yet.
            None => self.log(pod, container, true).await,
            log => log,
        }
    }

    async fn log(&self, pod: &str, container: &str, previous: bool) -> Option<String> {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(LOG_LINES),
            ..Default::default()
        };
        let log = self.pods().logs(pod, &params).await.ok()?;
        reported(&log)
    }

    async fn last_warning(&self, pod: &Pod) -> Option<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let of = format!("involvedObject.name={},type=Warning", pod.name_any());
        let events = events.list(&ListParams::default().fields(&of)).await.ok()?;
        events.items.into_iter().max_by_key(|e| e.last_timestamp.clone())?.message
    }
}

/// Returns the last lines of a log that report an error; without any, its last lines.
fn reported(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let has_mark = |line: &&&str| {
        let line = line.to_lowercase();
        ERROR_MARKS.iter().any(|mark| line.contains(mark))
    };
    let marked: Vec<&str> = lines.iter().filter(has_mark).copied().collect();
    let chosen = if marked.is_empty() { lines } else { marked };
    let last = &chosen[chosen.len().saturating_sub(QUOTED_LINES)..];
    (!last.is_empty()).then(|| last.join(" / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_report_an_error_are_quoted_and_not_what_follows_them() {
        let log = "starting\n[emerg] bind() to 0.0.0.0:80 failed\nReceived SIGTERM\nHandled quit, delaying exit\nExiting\nbye\n";
        assert_eq!(reported(log).as_deref(), Some("[emerg] bind() to 0.0.0.0:80 failed"));
        assert_eq!(reported("a\nb\n\nc\nd\n").as_deref(), Some("b / c / d"));
        assert_eq!(reported("\n"), None);
    }
}
