//! The fields of Deployments and ReplicaSets that the controller decides by.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use crate::controllers::rollout::Replicas;

/// Returns `spec.replicas` of a Deployment; 1 if it is not set.
pub(super) fn desired_replicas(deployment: &Deployment) -> i64 {
    i64::from(deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))
}

pub(super) fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true))
}

/// Whether the old pods are deleted before new ones are created.
pub(super) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("Recreate"))
}

/// Returns `spec.replicas` of a ReplicaSet; 1 if it is not set.
pub(super) fn replicas(set: &ReplicaSet) -> i64 {
    i64::from(set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))
}

pub(super) fn replica_counts(set: &ReplicaSet) -> Replicas {
    let available = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    Replicas { desired: replicas(set), available: i64::from(available) }
}
