//! Deployments: a ReplicaSet for each template, and the rollout from one to the next.

mod sets;
mod status;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::queue::{own_key, owner_key};
use super::rollout::{Bounds, Set, next_new, next_old};
use super::{Key, Outcome, run};
use crate::api::{Api, ApiError, DEPLOYMENTS, EVENT_NORMAL, Object, PODS, REPLICA_SETS};
use crate::object::{controller_uid, int, is_deleting, name, text, uid};

/// The component named in events.
const COMPONENT: &str = "deployment-controller";

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let sources: Vec<super::Source> =
        vec![(DEPLOYMENTS, own_key), (REPLICA_SETS, |set| owner_key(set, "Deployment"))];
    run(api, tasks, "deployment", sources, |api, key| async move { reconcile(&api, &key).await });
}

async fn reconcile(api: &Api, key: &Key) -> Result<Outcome, ApiError> {
    let Some(deployment) = api.get(DEPLOYMENTS, &key.0, &key.1) else { return Ok(Outcome::Done) };
    if is_deleting(&deployment) {
        return Ok(Outcome::Done);
    }
    let mut owned = api.list(REPLICA_SETS, Some(&key.0));
    owned.retain(|set| controller_uid(set) == Some(uid(&deployment)) && !is_deleting(set));
    owned.sort_by_key(|set| sets::revision(set));

    let paused = deployment.pointer("/spec/paused") == Some(&json!(true));
    let mut new = sets::matching(&deployment, &owned);
    if !paused {
        let old: Vec<&Object> =
            owned.iter().filter(|set| Some(uid(set)) != new.as_ref().map(|set| uid(set))).collect();
        if recreates(&deployment) && !old.is_empty() && new.as_deref().is_none_or(|new| replicas(new) == 0) {
            for set in &old {
                scale(api, &deployment, set, 0).await?;
            }
            if old.iter().any(|set| has_pods(api, set)) {
                return status::update(api, key, &owned, new.as_ref()).await;
            }
        }
        let ensured = sets::ensure(api, &deployment, new, &owned).await?;
        let numbers: Vec<Set> = old.iter().map(|set| numbers(set)).collect();
        step(api, &deployment, &ensured, &old, &numbers).await?;
        sets::forget_oldest(api, &deployment, &old).await?;
        new = Some(ensured);
    } else if let Some(set) = &new {
        // A paused Deployment is still scaled, as long as one set has it all.
        if owned.iter().filter(|set| replicas(set) > 0).count() <= 1 {
            scale(api, &deployment, set, wanted(&deployment)).await?;
        }
    }
    status::update(api, key, &owned, new.as_ref()).await
}

/// One step of the rollout: the new set up as far as it may, the old ones down as far as they may.
async fn step(
    api: &Api,
    deployment: &Value,
    new: &Value,
    old: &[&Object],
    numbers_of_old: &[Set],
) -> Result<(), ApiError> {
    let wanted = wanted(deployment);
    if recreates(deployment) {
        return scale(api, deployment, new, wanted).await;
    }
    let bounds = Bounds::of(deployment.pointer("/spec/strategy"), wanted);
    let up = next_new(wanted, bounds, numbers(new), numbers_of_old);
    scale(api, deployment, new, up).await?;
    let now = Set { wanted: up, ..numbers(new) };
    for (set, replicas) in old.iter().zip(next_old(wanted, bounds, now, numbers_of_old)) {
        scale(api, deployment, set, replicas).await?;
    }
    Ok(())
}

/// Sets a ReplicaSet's replicas and tells of it by an event.
async fn scale(api: &Api, deployment: &Value, set: &Value, to: i64) -> Result<(), ApiError> {
    let from = replicas(set);
    let desired = wanted(deployment).to_string();
    if from == to {
        return Ok(());
    }
    api.modify(REPLICA_SETS, text(set, "/metadata/namespace"), name(set), |set| {
        set["spec"]["replicas"] = json!(to);
        set["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] = json!(desired);
        true
    })
    .await?;
    let way = if to > from { "up" } else { "down" };
    let words = format!("Scaled {way} replica set {} from {from} to {to}", name(set));
    api.event(deployment, "Deployment", "apps/v1", EVENT_NORMAL, "ScalingReplicaSet", &words, COMPONENT)
        .await;
    Ok(())
}

fn recreates(deployment: &Value) -> bool {
    text(deployment, "/spec/strategy/type") == "Recreate"
}

fn wanted(deployment: &Value) -> i64 {
    int(deployment, "/spec/replicas").unwrap_or(1)
}

fn replicas(set: &Value) -> i64 {
    int(set, "/spec/replicas").unwrap_or(1)
}

fn numbers(set: &Value) -> Set {
    Set { wanted: replicas(set), available: int(set, "/status/availableReplicas").unwrap_or(0) }
}

fn has_pods(api: &Api, set: &Value) -> bool {
    api.list(PODS, Some(text(set, "/metadata/namespace")))
        .iter()
        .any(|pod| controller_uid(pod) == Some(uid(set)))
}
