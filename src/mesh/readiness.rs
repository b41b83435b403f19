//! How many pods of a Deployment are ready. Its status is its controller's word, which for a while after a restart is what was
//! true before; the pods are read as well.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::explain;
use meshy_kube::is_from_meshy;

/// The embedded cluster's mark on what only shows as an object.
pub(super) const BUILT_IN: &str = "meshy.dev/built-in";

/// The readiness of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Pods that are ready now.
    pub ready: i32,
    /// Pods that there should be.
    pub wanted: i32,
    /// What the first pod that is not ready waits for.
    pub why: Option<String>,
    /// Whether meshy created it, or the embedded cluster has it built in.
    pub is_ours: bool,
}

impl Readiness {
    /// Reads the readiness of a Deployment; `pods` are all pods of its namespace or more.
    pub(crate) fn of(deployment: &Deployment, pods: &[Pod]) -> Self {
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let counted = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let built_in = deployment.annotations().contains_key(BUILT_IN);
        let is_ours = built_in || is_from_meshy(deployment);
        if built_in {
            // It has no pods.
            return Self { ready: counted, wanted, why: None, is_ours };
        }
        let (namespace, name) = (deployment.namespace(), deployment.name_any());
        let own = pods.iter().filter(|pod| {
            let workload = meshy_metrics::Pod::of(pod).workload;
            pod.namespace() == namespace && workload.kind == "deployment" && workload.name == name
        });
        let own: Vec<&Pod> = own.filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
        let ready = own.iter().filter(|pod| is_ready(pod)).count();
        let ready = counted.min(i32::try_from(ready).unwrap_or(i32::MAX));
        let waiting = || {
            own.iter().filter(|pod| !is_ready(pod)).find_map(|pod| explain::waiting(pod).into_iter().next())
        };
        let why = if ready < wanted { waiting() } else { None };
        Self { ready, wanted, why, is_ours }
    }

    /// Returns whether all pods are ready.
    pub(crate) fn is_complete(&self) -> bool {
        self.ready >= self.wanted
    }
}

fn is_ready(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && meshy_kube::is_pod_ready(pod)
}

#[cfg(test)]
mod tests {
    use meshy_kube::{MANAGED_BY, MESHY};
    use serde_json::{Value, json};

    use super::*;

    fn deployment(labels: Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": labels},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": {"readyReplicas": 1},
        }))
        .unwrap()
    }

    fn pod(phase: &str, state: Value) -> Pod {
        let ready = if phase == "Running" { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": {"name": "web-77-x", "namespace": "shop", "labels": {"pod-template-hash": "77"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-77", "uid": "1",
                    "controller": true}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": state}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_status_from_before_a_stop_does_not_make_a_deployment_ready() {
        let lost = Readiness::of(&deployment(json!({})), &[pod("Unknown", json!({}))]);
        assert_eq!((lost.ready, lost.is_complete()), (0, false));
        let now = Readiness::of(&deployment(json!({})), &[pod("Running", json!({"running": {}}))]);
        assert!(now.is_complete() && now.why.is_none());
    }

    #[test]
    fn what_a_pod_waits_for_is_the_reason() {
        let waits = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
        let found = Readiness::of(&deployment(json!({MANAGED_BY: MESHY})), &[pod("Pending", waits)]);
        assert_eq!(found.why.as_deref(), Some("container `web` waits with ImagePullBackOff: not found"));
        assert!(found.is_ours && !Readiness::of(&deployment(json!({MANAGED_BY: "helm"})), &[]).is_ours);
    }
}
