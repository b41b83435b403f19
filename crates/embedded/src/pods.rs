//! The status of pods.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

use crate::condition::{self, Condition};

/// Whether a pod has the condition Ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(Condition::is_true)
}

/// Returns the condition Ready of a pod.
pub(crate) fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    condition::find(pod.status.as_ref()?.conditions.as_ref(), "Ready")
}

/// Returns the phase of a pod; empty before the kubelet has written one.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether all containers of a pod have exited and are not restarted.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether a pod is assigned to a node.
pub(crate) fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|name| !name.is_empty())
}

/// Returns the address of a pod; empty before it has one.
pub(crate) fn ip(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default()
}
