//! Readings of status: the unmet condition of an object, and which failures of a pod waiting does not fix.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;

/// How often a permanent pull error, and how often a restart, is watched before it counts.
const PULLS: u32 = 2;
const RESTARTS: i32 = 3;

/// The same for a container of the embedded cluster: the second start has failed. Its next start would follow after 10 s, later than
/// many a user waits, and nothing of the cluster itself needs several starts there.
const EMBEDDED_RESTARTS: i32 = 1;

/// The reason of a container that waits for its next start.
const CRASH_LOOP: &str = "CrashLoopBackOff";

/// How the ids of containers of the embedded cluster begin; those of containerd begin with `containerd://`.
const EMBEDDED_RUNTIME: &str = "meshy://";

/// The unmet condition of an object, in words; none when it is as ready as its kind can be.
pub(super) fn unmet_condition(kind: &str, object: &Value) -> Option<String> {
    let status = &object["status"];
    let count = |key: &str| status[key].as_i64().unwrap_or(0);
    let behind = || {
        let (seen, now) =
            (count("observedGeneration"), object["metadata"]["generation"].as_i64().unwrap_or(0));
        (seen < now).then(|| "its controller has not processed the last change".to_owned())
    };
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let of = |have: i64, all: i64, what: &str| (have < all).then(|| format!("{have} of {all} {what}"));
    match kind {
        "Deployment" => behind()
            .or_else(|| condition_message(status, "ReplicaFailure", "True"))
            .or_else(|| of(count("updatedReplicas"), wanted, "replicas made"))
            .or_else(|| of(count("availableReplicas"), wanted, "replicas ready"))
            .or_else(|| {
                let old = count("replicas") - count("updatedReplicas");
                (old > 0).then(|| format!("{old} old replicas still there"))
            }),
        "StatefulSet" => behind()
            .or_else(|| of(count("updatedReplicas"), wanted, "replicas made"))
            .or_else(|| of(count("readyReplicas"), wanted, "replicas ready")),
        "ReplicaSet" => behind().or_else(|| of(count("readyReplicas"), wanted, "replicas ready")),
        "DaemonSet" => behind()
            .or_else(|| of(count("updatedNumberScheduled"), count("desiredNumberScheduled"), "pods made"))
            .or_else(|| of(count("numberAvailable"), count("desiredNumberScheduled"), "pods ready")),
        "Job" => holds(status, "Complete", "it has not completed"),
        "Pod" | "Node" => holds(status, "Ready", "it is not Ready"),
        "CustomResourceDefinition" => holds(status, "Established", "it is not Established"),
        "Namespace" => (status["phase"] == "Terminating").then(|| "it is being deleted".to_owned()),
        _ => None,
    }
}

/// How many pods a workload must have that are Ready; none for kinds without pods of that workload.
pub(super) fn pods(kind: &str, object: &Value) -> Option<i64> {
    match kind {
        "Deployment" | "StatefulSet" | "ReplicaSet" => Some(object["spec"]["replicas"].as_i64().unwrap_or(1)),
        "DaemonSet" => object["status"]["desiredNumberScheduled"].as_i64(),
        _ => None,
    }
}

/// The condition of a status of that type, if it is there.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn condition_message(status: &Value, kind: &str, when: &str) -> Option<String> {
    let found = condition(status, kind).filter(|c| c["status"] == when)?;
    Some(found["message"].as_str().or(found["reason"].as_str()).unwrap_or(kind).to_owned())
}

fn holds(status: &Value, kind: &str, else_: &str) -> Option<String> {
    match condition(status, kind) {
        Some(found) if found["status"] == "True" => None,
        Some(found) => Some(match found["message"].as_str().or(found["reason"].as_str()) {
            Some(why) if !why.is_empty() => format!("{else_}: {why}"),
            _ => else_.to_owned(),
        }),
        None => Some(else_.to_owned()),
    }
}

/// Whether a pod can still become ready, by its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodState {
    /// Ready, or on its way out.
    Done,
    /// Not yet, and why.
    Waiting(String),
    /// No node takes it; worth an end if that lasts although all nodes are Ready.
    Unschedulable(String),
    /// Waiting will not help.
    Failed(PodFailure),
}

/// A failure that waiting does not fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodFailure {
    /// The image cannot be had.
    Image {
        /// Its name.
        image: String,
        /// The words of the container runtime.
        why: String,
    },
    /// The container keeps ending.
    Restarts {
        /// Which container.
        container: String,
        /// How it ended last.
        why: String,
    },
    /// The pod has ended and does not start again.
    Ended {
        /// Which container.
        container: String,
        /// How it ended.
        why: String,
    },
    /// No node can run the pod.
    Unschedulable(String),
}

/// Returns how a pod failed that nothing replaces; none while it can still become ready. A pod of a workload is replaced by its
/// controller, so this is for single pods only.
pub(super) fn failed(pod: &Value) -> Option<PodFailure> {
    let status = &pod["status"];
    let groups = [&status["initContainerStatuses"], &status["containerStatuses"]];
    let mut all = groups.into_iter().filter_map(Value::as_array).flatten();
    let code = |container: &Value| container["state"]["terminated"]["exitCode"].as_i64().unwrap_or(0);
    let container = all.find(|container| code(container) != 0);
    // While a sidecar runs, the phase of a pod with a failed container is still Running.
    let is_final = pod["spec"]["restartPolicy"] == "Never" && container.is_some();
    if status["phase"] == "Succeeded" {
        return Some(PodFailure::Ended { container: String::new(), why: "it has completed".to_owned() });
    }
    if status["phase"] != "Failed" && !is_final {
        return None;
    }
    let (name, why) = match container {
        Some(container) => (&container["name"], format!("it exited with {}", code(container))),
        None => (
            &Value::Null,
            status["message"]
                .as_str()
                .or(status["reason"].as_str())
                .unwrap_or("its phase is Failed")
                .to_owned(),
        ),
    };
    Some(PodFailure::Ended { container: name.as_str().unwrap_or_default().to_owned(), why })
}

/// The pods of one workload, with the memory that a single status does not have.
#[derive(Debug, Default)]
pub(super) struct PodStates {
    /// Pull failures seen for each pod and container: whether it is failing right now, and how often it did.
    pulls: HashMap<(String, String), (bool, u32)>,
}

impl PodStates {
    /// Returns the state of a pod by its latest status.
    pub(super) fn of(&mut self, pod: &Pod) -> PodState {
        if pod.metadata.deletion_timestamp.is_some() || crate::is_pod_ready(pod) {
            return PodState::Done;
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let scheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False");
        if let Some(why) = scheduled.filter(|c| c.reason.as_deref() == Some("Unschedulable")) {
            let why = why.message.clone().unwrap_or_default();
            return PodState::Unschedulable(format!("pod `{name}` cannot be scheduled on any node: {why}"));
        }
        let mut waiting = None;
        let all =
            status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
        for container in all {
            match self.container(&name, container) {
                PodState::Done => {}
                PodState::Waiting(why) => waiting = waiting.or(Some(why)),
                sentence => return sentence,
            }
        }
        PodState::Waiting(waiting.unwrap_or_else(|| format!("pod `{name}` is not ready")))
    }

    fn container(&mut self, pod: &str, container: &ContainerStatus) -> PodState {
        let state = container.state.clone().unwrap_or_default();
        let key = (pod.to_owned(), container.name.clone());
        let Some(waiting) = state.waiting else {
            self.pulls.remove(&key);
            return PodState::Done;
        };
        let reason = waiting.reason.unwrap_or_default();
        let message = waiting.message.unwrap_or_default();
        match reason.as_str() {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                let (failing, times) = self.pulls.entry(key).or_default();
                let fails = reason != "ImagePullBackOff";
                // The status goes ErrImagePull → ImagePullBackOff → ErrImagePull …: each entry is one attempt. A reader who
                // comes while it backs off has missed at least one.
                if (fails && !*failing) || *times == 0 {
                    *times += 1;
                }
                *failing = fails;
                // An invalid name is never tried.
                let at_once = reason == "InvalidImageName" || reason == "ErrImageNeverPull";
                if at_once || (*times >= PULLS && is_permanent(&message)) {
                    let why = if message.is_empty() { reason } else { message };
                    return PodState::Failed(PodFailure::Image { image: container.image.clone(), why });
                }
            }
            CRASH_LOOP if container.restart_count >= most_restarts(container) => {
                let last = container.last_state.clone().unwrap_or_default().terminated;
                let plural = if container.restart_count == 1 { "" } else { "s" };
                let restarts = format!("{} restart{plural}", container.restart_count);
                let why = match last {
                    Some(last) => format!("{restarts}, last ended with {}", last.exit_code),
                    None => restarts,
                };
                return PodState::Failed(PodFailure::Restarts { container: container.name.clone(), why });
            }
            _ => {}
        }
        let reason = if reason.is_empty() { "waiting".to_owned() } else { reason };
        PodState::Waiting(format!("pod `{pod}`: container `{}` is in {reason}", container.name))
    }
}

/// Returns how many restarts of a container are waited for.
fn most_restarts(container: &ContainerStatus) -> i32 {
    let id = container.container_id.as_deref().unwrap_or_default();
    if id.starts_with(EMBEDDED_RUNTIME) { EMBEDDED_RESTARTS } else { RESTARTS }
}

/// Whether a run of the container has failed and the next one has not begun.
pub(super) fn has_failed(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| {
        let waits = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
        state.terminated.as_ref().is_some_and(|end| end.exit_code != 0) || waits == Some(CRASH_LOOP)
    })
}

/// Whether the container runtime's words mean that the image is not to be had from there: absent, forbidden, or no such host.
/// A refused connection or a timeout may pass.
fn is_permanent(message: &str) -> bool {
    let message = message.to_lowercase();
    ["not found", "notfound", "denied", "unauthorized", "forbidden", "no such host"]
        .iter()
        .any(|w| message.contains(w))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(state: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{
            "name": "c", "image": "r/x:1", "imageID": "", "ready": false, "restartCount": 3, "state": state,
            "lastState": {"terminated": {"exitCode": 137}}}]}}))
        .unwrap()
    }

    fn pull(reason: &str, message: &str) -> Pod {
        pod(json!({"waiting": {"reason": reason, "message": message}}))
    }

    #[test]
    fn a_missing_image_ends_the_wait_at_its_second_try() {
        let mut pod_states = PodStates::default();
        let (fails, backs_off) =
            (pull("ErrImagePull", "r/x:1: not found"), pull("ImagePullBackOff", "Back-off"));
        assert!(matches!(pod_states.of(&fails), PodState::Waiting(_)));
        assert!(matches!(pod_states.of(&fails), PodState::Waiting(_)));
        assert!(matches!(pod_states.of(&backs_off), PodState::Waiting(_)));
        let PodState::Failed(PodFailure::Image { image, why }) = pod_states.of(&fails) else {
            panic!("goes on")
        };
        assert_eq!((image.as_str(), why.as_str()), ("r/x:1", "r/x:1: not found"));
    }

    #[test]
    fn a_registry_that_does_not_answer_may_come_back() {
        let mut pod_states = PodStates::default();
        for _ in 0..5 {
            assert!(matches!(
                pod_states.of(&pull("ErrImagePull", "connection refused")),
                PodState::Waiting(_)
            ));
            assert!(matches!(pod_states.of(&pull("ImagePullBackOff", "Back-off")), PodState::Waiting(_)));
        }
    }

    #[test]
    fn three_restarts_end_the_wait_with_the_exit_code() {
        let looping = pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        let PodState::Failed(PodFailure::Restarts { why, .. }) = PodStates::default().of(&looping) else {
            panic!("goes on")
        };
        assert_eq!(why, "3 restarts, last ended with 137");
    }

    #[test]
    fn the_second_failed_start_ends_the_wait_on_the_embedded_cluster() {
        let of = |restarts: i32, runtime: &str| {
            let mut pod = pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
            let status = pod.status.as_mut().and_then(|status| status.container_statuses.as_mut()).unwrap();
            status[0].restart_count = restarts;
            status[0].container_id = Some(format!("{runtime}://0123"));
            PodStates::default().of(&pod)
        };
        assert!(matches!(of(0, "meshy"), PodState::Waiting(_)));
        assert!(matches!(of(1, "containerd"), PodState::Waiting(_)), "it may wait for another service");
        let PodState::Failed(PodFailure::Restarts { why, .. }) = of(1, "meshy") else { panic!("goes on") };
        assert_eq!(why, "1 restart, last ended with 137");
    }

    #[test]
    fn a_single_pod_that_failed_does_not_become_ready() {
        let with = |policy: &str, phase: &str, containers: Value| {
            failed(&json!({"spec": {"restartPolicy": policy},
                "status": {"phase": phase, "reason": "Evicted", "containerStatuses": containers}}))
        };
        let pod = |phase: &str, containers: Value| with("Always", phase, containers);
        let ended = |code: i64| json!([{"name": "c", "state": {"terminated": {"exitCode": code}}}]);
        assert_eq!(pod("Pending", json!([])), None);
        let of = |container: &str, why: &str| {
            Some(PodFailure::Ended { container: container.into(), why: why.into() })
        };
        assert_eq!(pod("Failed", ended(3)), of("c", "it exited with 3"));
        assert_eq!(pod("Failed", json!([])), of("", "Evicted"));
        assert_eq!(pod("Running", ended(3)), None);
        assert_eq!(with("Never", "Succeeded", ended(0)), of("", "it has completed"));
        assert_eq!(with("Never", "Running", ended(3)), of("c", "it exited with 3"));
    }

    #[test]
    fn a_deployment_is_not_ready_while_kubectl_rollout_would_wait() {
        let at = |generation: i64, status: Value| {
            unmet_condition(
                "Deployment",
                &json!({"metadata": {"generation": generation}, "spec": {"replicas": 2}, "status": status}),
            )
        };
        let full =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(at(2, full.clone()), None);
        assert!(at(3, full).unwrap().contains("last change"));
        let old =
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(at(2, old).unwrap(), "1 old replicas still there");
        let half =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1});
        assert_eq!(at(2, half).unwrap(), "1 of 2 replicas ready");
    }
}
