//! The ReplicaSet controller: creates and deletes pods until the desired number exists.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::task::JoinSet;

use super::controller::{Action, Context, Controller, controller_key, own_key};
use super::queue::Key;
use crate::api::{Api, ApiError, Deletion};
use crate::events::{Component, EventType};
use crate::object::{ObjectExt, controller_reference};
use crate::pods::{is_finished, is_ready, phase, ready_condition};

pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    Controller::new("replicaset", context, tasks)
        .watch::<ReplicaSet>(own_key)
        .watch::<Pod>(controller_key::<ReplicaSet, _>)
        .start(|context, key| async move { reconcile(&context, &key).await });
}

async fn reconcile(context: &Context, key: &Key) -> Result<Action, ApiError> {
    let Some(set) = context.api.get::<ReplicaSet>(&key.0, &key.1) else { return Ok(Action::AwaitChange) };
    let pods = active_pods(&context.api, &set);
    if !set.is_deleting() {
        let desired = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let desired = usize::try_from(desired).unwrap_or(0);
        for _ in pods.len()..desired {
            create_pod(context, &set).await?;
        }
        for pod in pods_to_delete(pods, desired) {
            delete_pod(context, &set, &pod).await?;
        }
    }
    update_status(&context.api, key, &set).await
}

/// Returns the pods of a ReplicaSet that are neither terminating nor finished.
fn active_pods(api: &Api, set: &ReplicaSet) -> Vec<Arc<Pod>> {
    let mut pods = api.list::<Pod>(Some(set.namespace()));
    pods.retain(|pod| pod.is_controlled_by(set.uid()) && !pod.is_deleting() && !is_finished(pod));
    pods
}

/// Returns the pods that exceed the desired number: first those that are not running, not ready or young.
fn pods_to_delete(mut pods: Vec<Arc<Pod>>, desired: usize) -> Vec<Arc<Pod>> {
    pods.sort_by_cached_key(|pod| rank(pod));
    pods.truncate(pods.len().saturating_sub(desired));
    pods
}

/// Ranks pods by usefulness: running before pending, ready before not ready, old before young.
fn rank(pod: &Pod) -> (bool, bool, Reverse<Option<Time>>) {
    (phase(pod) == "Running", is_ready(pod), Reverse(pod.metadata.creation_timestamp.clone()))
}

async fn create_pod(context: &Context, set: &ReplicaSet) -> Result<(), ApiError> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.generate_name = Some(format!("{}-", set.name()));
    metadata.namespace = Some(set.namespace().to_owned());
    metadata.owner_references = Some(vec![controller_reference(set)]);
    let pod = Pod { metadata, spec: template.spec, status: None };
    let (type_, reason, message, result) = match context.api.create(&pod).await {
        Ok(pod) => (EventType::Normal, "SuccessfulCreate", format!("Created pod: {}", pod.name()), Ok(())),
        Err(error) => (EventType::Warning, "FailedCreate", format!("Error creating: {error}"), Err(error)),
    };
    context.events.record(set, type_, reason, &message, Component::ReplicaSetController).await;
    result
}

async fn delete_pod(context: &Context, set: &ReplicaSet, pod: &Pod) -> Result<(), ApiError> {
    match context.api.delete::<Pod>(pod.namespace(), pod.name(), Deletion::of(pod.uid())).await {
        Ok(()) | Err(ApiError::NotFound) => {}
        Err(error) => return Err(error),
    }
    let message = format!("Deleted pod: {}", pod.name());
    let component = Component::ReplicaSetController;
    context.events.record(set, EventType::Normal, "SuccessfulDelete", &message, component).await;
    Ok(())
}

async fn update_status(api: &Api, key: &Key, set: &ReplicaSet) -> Result<Action, ApiError> {
    let pods = active_pods(api, set);
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let waits: Vec<u64> = pods.iter().filter_map(|pod| seconds_to_available(pod, min_ready)).collect();
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    // The API leaves out counts of zero.
    let non_zero = |number: usize| (number > 0).then(|| count(number));
    let status = ReplicaSetStatus {
        replicas: count(pods.len()),
        fully_labeled_replicas: non_zero(pods.len()),
        ready_replicas: non_zero(pods.iter().filter(|pod| is_ready(pod)).count()),
        available_replicas: non_zero(waits.iter().filter(|wait| **wait == 0).count()),
        observed_generation: Some(set.metadata.generation.unwrap_or(1)),
        ..ReplicaSetStatus::default()
    };
    api.modify_status(&key.0, &key.1, |set: &mut ReplicaSet| set.status = Some(status.clone())).await?;
    let next = waits.into_iter().filter(|wait| *wait > 0).min();
    Ok(next.map_or(Action::AwaitChange, |wait| Action::RequeueAfter(Duration::from_secs(wait))))
}

/// Returns the seconds until a ready pod counts as available, or `None` if it is not ready.
fn seconds_to_available(pod: &Pod, min_ready_seconds: i32) -> Option<u64> {
    if !is_ready(pod) {
        return None;
    }
    let since = ready_condition(pod)?.last_transition_time.as_ref()?;
    let age = Timestamp::now().duration_since(since.0).as_secs();
    Some((i64::from(min_ready_seconds) - age).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::pods_to_delete;
    use crate::api::typed;
    use crate::object::ObjectExt;

    fn pod(name: &str, phase: &str, ready: &str, created: &str) -> Arc<Pod> {
        let pod = json!({
            "metadata": { "name": name, "creationTimestamp": created },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
        });
        Arc::new(typed(&pod).expect("a pod"))
    }

    #[test]
    fn unready_pods_are_deleted_before_young_ones() {
        let pods = vec![
            pod("old-ready", "Running", "True", "2026-01-01T00:00:00Z"),
            pod("young-ready", "Running", "True", "2026-01-02T00:00:00Z"),
            pod("unready", "Running", "False", "2026-01-01T00:00:00Z"),
            pod("pending", "Pending", "False", "2026-01-01T00:00:00Z"),
        ];
        let deleted = pods_to_delete(pods, 1);
        let order: Vec<_> = deleted.iter().map(|pod| pod.name()).collect();
        assert_eq!(order, ["pending", "unready", "young-ready"]);
    }
}
