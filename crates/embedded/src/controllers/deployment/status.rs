//! The status of a Deployment: the counts and conditions that `kubectl rollout status` reads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetStatus,
};

use super::spec::{desired_replicas, is_paused};
use crate::api::{Api, ApiError};
use crate::condition;
use crate::controllers::controller::Action;
use crate::controllers::queue::Key;
use crate::controllers::rollout::Limits;
use crate::object::{ObjectExt, now};

/// The progress deadline that Kubernetes uses if the Deployment has none.
const DEFAULT_PROGRESS_DEADLINE_SECONDS: i32 = 600;

/// The sums over the ReplicaSets of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

pub(super) async fn update(
    api: &Api,
    key: &Key,
    owned: &[Arc<ReplicaSet>],
    new: Option<&Arc<ReplicaSet>>,
) -> Result<Action, ApiError> {
    // This reconciliation may have changed them.
    let read = |set: &Arc<ReplicaSet>| api.get::<ReplicaSet>(&key.0, set.name());
    let mut sets: Vec<_> = owned.iter().filter_map(read).collect();
    let new = new.and_then(read);
    if let Some(new) = &new
        && !sets.iter().any(|set| set.uid() == new.uid())
    {
        sets.push(new.clone());
    }
    let counts = Counts::of(&sets, new.as_deref());
    let mut action = Action::AwaitChange;
    let change = |deployment: &mut Deployment| action = write(deployment, counts, new.as_deref());
    api.modify_status(&key.0, &key.1, change).await?;
    Ok(action)
}

impl Counts {
    fn of(sets: &[Arc<ReplicaSet>], new: Option<&ReplicaSet>) -> Self {
        let sum = |count: fn(&ReplicaSetStatus) -> i32| {
            sets.iter().filter_map(|set| set.status.as_ref()).map(count).map(i64::from).sum()
        };
        let updated = new.and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
        Self {
            replicas: sum(|status| status.replicas),
            updated: i64::from(updated),
            ready: sum(|status| status.ready_replicas.unwrap_or(0)),
            available: sum(|status| status.available_replicas.unwrap_or(0)),
        }
    }
}

/// Writes the status and returns when to reconcile again.
fn write(deployment: &mut Deployment, counts: Counts, new: Option<&ReplicaSet>) -> Action {
    let desired = desired_replicas(deployment);
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let min_available = desired - Limits::of(strategy, desired).max_unavailable;
    let old = deployment.status.take().unwrap_or_default();
    // The API leaves out counts of zero.
    let non_zero = |count: i64| (count > 0).then(|| i32::try_from(count).unwrap_or(i32::MAX));
    let mut status = DeploymentStatus {
        observed_generation: Some(deployment.metadata.generation.unwrap_or(1)),
        replicas: non_zero(counts.replicas),
        updated_replicas: non_zero(counts.updated),
        ready_replicas: non_zero(counts.ready),
        available_replicas: non_zero(counts.available),
        unavailable_replicas: non_zero(counts.replicas.max(desired) - counts.available),
        conditions: old.conditions.clone(),
        ..DeploymentStatus::default()
    };
    let progressed = numbers(&old) != numbers(&status);
    if counts.available >= min_available {
        let message = "Deployment has minimum availability.";
        set(&mut status, "Available", true, "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.";
        set(&mut status, "Available", false, "MinimumReplicasUnavailable", message);
    }
    let action = progress(deployment, &mut status, counts, new, progressed);
    deployment.status = Some(status);
    action
}

fn numbers(status: &DeploymentStatus) -> [Option<i32>; 4] {
    [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas]
}

/// Sets the condition Progressing; a reconciliation is due again at the progress deadline.
fn progress(
    deployment: &Deployment,
    status: &mut DeploymentStatus,
    counts: Counts,
    new: Option<&ReplicaSet>,
    progressed: bool,
) -> Action {
    let desired = desired_replicas(deployment);
    let set_name = new.map(ObjectExt::name).unwrap_or_default();
    let old: Option<&DeploymentCondition> = condition::find(status.conditions.as_ref(), "Progressing");
    let reason = old.and_then(|condition| condition.reason.clone()).unwrap_or_default();
    let mut report = |succeeds: bool, reason: &str, message: &str| {
        if !set(status, "Progressing", succeeds, reason, message) && progressed {
            touch(status, "Progressing");
        }
    };
    if is_paused(deployment) {
        report(true, "DeploymentPaused", "Deployment is paused");
        return Action::AwaitChange;
    }
    if counts.updated == desired && counts.replicas == desired && counts.available >= desired {
        if reason != "NewReplicaSetAvailable" || progressed {
            let message = format!("ReplicaSet \"{set_name}\" has successfully progressed.");
            report(true, "NewReplicaSetAvailable", &message);
        }
        return Action::AwaitChange;
    }
    let starts = matches!(reason.as_str(), "" | "NewReplicaSetAvailable" | "DeploymentPaused");
    if progressed || starts {
        report(true, "ReplicaSetUpdated", &format!("ReplicaSet \"{set_name}\" is progressing."));
    }
    let left = seconds_to_deadline(deployment, status);
    if left > 0 {
        return Action::RequeueAfter(Duration::from_secs(left.unsigned_abs()));
    }
    let message = format!("ReplicaSet \"{set_name}\" has timed out progressing.");
    set(status, "Progressing", false, "ProgressDeadlineExceeded", &message);
    Action::AwaitChange
}

fn seconds_to_deadline(deployment: &Deployment, status: &DeploymentStatus) -> i64 {
    let deadline = deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds);
    let deadline = deadline.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
    let updated: Option<&DeploymentCondition> = condition::find(status.conditions.as_ref(), "Progressing");
    let updated = updated.and_then(|condition| condition.last_update_time.as_ref());
    let updated = updated.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    i64::from(deadline) - Timestamp::now().duration_since(updated).as_secs()
}

/// Sets a condition with its update time, and returns whether that changed it.
fn set(status: &mut DeploymentStatus, type_: &str, value: bool, reason: &str, message: &str) -> bool {
    let changed = condition::set(&mut status.conditions, type_, value, reason, message);
    if changed {
        touch(status, type_);
    }
    changed
}

/// Sets the update time of a condition; for Progressing, the deadline counts from it.
fn touch(status: &mut DeploymentStatus, type_: &str) {
    let conditions = status.conditions.iter_mut().flatten();
    for condition in conditions.filter(|condition| condition.type_ == type_) {
        condition.last_update_time = Some(now());
    }
}
