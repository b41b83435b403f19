//! The objects of a restored snapshot whose pods ended with the previous process.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

use crate::api::{Api, ApiError, Deletion};
use crate::object::ObjectExt;

/// Deletes the restored pods, which their ReplicaSets replace, and the counts in the status of their owners.
///
/// A client that waits for a rollout would otherwise read the counts of pods that do not exist any more.
pub(super) async fn reset_pods(api: &Api) -> Result<(), ApiError> {
    for pod in api.list::<Pod>(None) {
        let deletion = Deletion::of(pod.uid()).without_grace_period();
        api.delete::<Pod>(pod.namespace(), pod.name(), deletion).await?;
    }
    for set in api.list::<ReplicaSet>(None) {
        let reset = |set: &mut ReplicaSet| {
            if let Some(status) = &mut set.status {
                status.replicas = 0;
                status.fully_labeled_replicas = None;
                status.ready_replicas = None;
                status.available_replicas = None;
            }
        };
        api.modify_status(set.namespace(), set.name(), reset).await?;
    }
    for deployment in api.list::<Deployment>(None) {
        let reset = |deployment: &mut Deployment| {
            if let Some(status) = &mut deployment.status {
                status.replicas = None;
                status.updated_replicas = None;
                status.ready_replicas = None;
                status.available_replicas = None;
            }
        };
        api.modify_status(deployment.namespace(), deployment.name(), reset).await?;
    }
    Ok(())
}
