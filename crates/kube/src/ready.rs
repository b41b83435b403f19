//! The condition `Ready` of pods and nodes.

use k8s_openapi::api::core::v1::{Node, Pod};

/// Returns whether a pod is ready: the status of its condition `Ready` is `True`.
pub fn is_pod_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| is_ready(&one.type_, &one.status))
}

/// Returns whether a node is ready: the status of its condition `Ready` is `True`.
pub fn is_node_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| is_ready(&one.type_, &one.status))
}

fn is_ready(kind: &str, status: &str) -> bool {
    kind == "Ready" && status == "True"
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_the_condition_ready_with_status_true_makes_a_pod_or_node_ready() {
        let with = |conditions: Value| json!({"status": {"conditions": conditions}});
        for (status, expected) in [
            (with(json!([{"type": "Ready", "status": "True"}])), true),
            (with(json!([{"type": "Ready", "status": "False"}])), false),
            (with(json!([{"type": "Ready", "status": "Unknown"}])), false),
            (with(json!([{"type": "ContainersReady", "status": "True"}])), false),
            (with(json!([])), false),
            (json!({}), false),
        ] {
            let pod: Pod = serde_json::from_value(status.clone()).unwrap();
            let node: Node = serde_json::from_value(status.clone()).unwrap();
            assert_eq!((is_pod_ready(&pod), is_node_ready(&node)), (expected, expected), "{status}");
        }
    }
}
