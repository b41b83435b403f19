//! The Deployment controller: one ReplicaSet for each pod template, and the rollout from one to the next.

mod replica_sets;
mod spec;
mod status;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use tokio::task::JoinSet;

use super::controller::{Action, Context, Controller, controller_key, own_key};
use super::queue::Key;
use super::rollout::{Limits, Replicas, next_new, next_old};
use crate::api::{Api, ApiError};
use crate::events::{Component, EventType};
use crate::object::{ObjectExt, set_annotation};
use spec::{desired_replicas, is_paused, is_recreate, replica_counts, replicas};

pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    Controller::new("deployment", context, tasks)
        .watch::<Deployment>(own_key)
        .watch::<ReplicaSet>(controller_key::<Deployment, _>)
        .start(|context, key| async move { reconcile(&context, &key).await });
}

async fn reconcile(context: &Context, key: &Key) -> Result<Action, ApiError> {
    let Some(deployment) = context.api.get::<Deployment>(&key.0, &key.1).filter(|found| !found.is_deleting())
    else {
        return Ok(Action::AwaitChange);
    };
    let owned = replica_sets::owned(&context.api, &deployment);
    let current = replica_sets::current(&deployment, &owned);
    let new = if is_paused(&deployment) {
        scale_paused(context, &deployment, &owned, current.as_ref()).await?;
        current
    } else {
        roll_out(context, &deployment, &owned, current).await?
    };
    status::update(&context.api, key, &owned, new.as_ref()).await
}

/// Scales a paused Deployment, as long as only one of its ReplicaSets has replicas.
async fn scale_paused(
    context: &Context,
    deployment: &Deployment,
    owned: &[Arc<ReplicaSet>],
    current: Option<&Arc<ReplicaSet>>,
) -> Result<(), ApiError> {
    let Some(set) = current else { return Ok(()) };
    if owned.iter().filter(|set| replicas(set) > 0).count() <= 1 {
        scale(context, deployment, set, desired_replicas(deployment)).await?;
    }
    Ok(())
}

/// Takes one step of the rollout and returns the ReplicaSet of the current template, if it exists.
async fn roll_out(
    context: &Context,
    deployment: &Deployment,
    owned: &[Arc<ReplicaSet>],
    current: Option<Arc<ReplicaSet>>,
) -> Result<Option<Arc<ReplicaSet>>, ApiError> {
    let is_current = |set: &ReplicaSet| current.as_ref().is_some_and(|current| current.uid() == set.uid());
    let old: Vec<_> = owned.iter().filter(|set| !is_current(set)).collect();
    let counts: Vec<Replicas> = old.iter().map(|set| replica_counts(set)).collect();
    if is_recreate(deployment) && current.as_deref().is_none_or(|current| replicas(current) == 0) {
        for set in &old {
            scale(context, deployment, set, 0).await?;
        }
        if old.iter().any(|set| has_pods(&context.api, set)) {
            return Ok(current);
        }
    }
    let new = replica_sets::ensure(context, deployment, current, owned).await?;
    let desired = desired_replicas(deployment);
    if is_recreate(deployment) {
        scale(context, deployment, &new, desired).await?;
    } else {
        rolling_step(context, deployment, &new, &old, &counts).await?;
    }
    replica_sets::prune_history(context, deployment, &old).await?;
    Ok(Some(new))
}

/// Takes one step of a rolling update: scales the new ReplicaSet up and the old ones down as far as the limits permit.
async fn rolling_step(
    context: &Context,
    deployment: &Deployment,
    new: &ReplicaSet,
    old: &[&Arc<ReplicaSet>],
    counts_of_old: &[Replicas],
) -> Result<(), ApiError> {
    let desired = desired_replicas(deployment);
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let limits = Limits::of(strategy, desired);
    let counts = replica_counts(new);
    let scaled = Replicas { desired: next_new(desired, limits, counts, counts_of_old), ..counts };
    scale(context, deployment, new, scaled.desired).await?;
    for (set, replicas) in old.iter().zip(next_old(desired, limits, scaled, counts_of_old)) {
        scale(context, deployment, set, replicas).await?;
    }
    Ok(())
}

/// Sets the replicas of a ReplicaSet and records an event, unless the number is unchanged.
async fn scale(
    context: &Context,
    deployment: &Deployment,
    set: &ReplicaSet,
    to: i64,
) -> Result<(), ApiError> {
    let from = replicas(set);
    if from == to {
        return Ok(());
    }
    let desired = desired_replicas(deployment).to_string();
    let change = |set: &mut ReplicaSet| {
        set.spec.get_or_insert_default().replicas = Some(i32::try_from(to).unwrap_or(i32::MAX));
        set_annotation(&mut set.metadata, replica_sets::DESIRED_REPLICAS, &desired);
    };
    context.api.modify(set.namespace(), set.name(), change).await?;
    let direction = if to > from { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {} from {from} to {to}", set.name());
    let component = Component::DeploymentController;
    context.events.record(deployment, EventType::Normal, "ScalingReplicaSet", &message, component).await;
    Ok(())
}

fn has_pods(api: &Api, set: &ReplicaSet) -> bool {
    api.list::<Pod>(Some(set.namespace())).iter().any(|pod| pod.is_controlled_by(set.uid()))
}
