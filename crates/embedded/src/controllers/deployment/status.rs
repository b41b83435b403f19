//! A Deployment's status: the counts and conditions that `kubectl rollout status` and waits read.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::rollout::Bounds;
use super::super::{Key, Outcome};
use super::wanted;
use crate::api::{Api, ApiError, DEPLOYMENTS, Object, REPLICA_SETS};
use crate::object::{condition, int, moment, name, now, set_condition, text, uid};

/// Counts over a Deployment's ReplicaSets.
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
    owned: &[Object],
    new: Option<&Object>,
) -> Result<Outcome, ApiError> {
    // Read again: this reconciliation has changed some of them.
    let mut sets: Vec<Object> =
        owned.iter().filter_map(|set| api.get(REPLICA_SETS, &key.0, name(set))).collect();
    let new = new.and_then(|set| api.get(REPLICA_SETS, &key.0, name(set)));
    if let Some(new) = &new
        && !sets.iter().any(|set| uid(set) == uid(new))
    {
        sets.push(new.clone());
    }
    let sum = |field| sets.iter().filter_map(|set| int(set, field)).sum::<i64>();
    let counts = Counts {
        replicas: sum("/status/replicas"),
        updated: new.as_ref().and_then(|set| int(set, "/status/replicas")).unwrap_or(0),
        ready: sum("/status/readyReplicas"),
        available: sum("/status/availableReplicas"),
    };
    let mut outcome = Outcome::Done;
    api.modify_status(DEPLOYMENTS, &key.0, &key.1, |deployment| {
        let before = deployment["status"].clone();
        outcome = write(deployment, counts, new.as_ref().map(|set| set.value()));
        deployment["status"] != before
    })
    .await?;
    Ok(outcome)
}

fn write(deployment: &mut Value, counts: Counts, new: Option<&Value>) -> Outcome {
    let wanted = wanted(deployment);
    let before = deployment["status"].clone();
    let conditions = before.get("conditions").cloned().unwrap_or_else(|| json!([]));
    let mut status = json!({
        "observedGeneration": int(deployment, "/metadata/generation").unwrap_or(1),
        "conditions": conditions,
    });
    let missing = (counts.replicas.max(wanted) - counts.available).max(0);
    for (field, count) in [
        ("replicas", counts.replicas),
        ("updatedReplicas", counts.updated),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("unavailableReplicas", missing),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    let moved = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
        .iter()
        .any(|field| before.get(field) != status.get(field));
    deployment["status"] = status;

    let least = wanted - Bounds::of(deployment.pointer("/spec/strategy"), wanted).unavailable;
    if counts.available >= least {
        let words = "Deployment has minimum availability.";
        set_condition(deployment, "Available", true, "MinimumReplicasAvailable", words);
    } else {
        let words = "Deployment does not have minimum availability.";
        set_condition(deployment, "Available", false, "MinimumReplicasUnavailable", words);
    }
    progress(deployment, counts, new, moved)
}

/// The Progressing condition; asks to be called again when the progress deadline is due.
fn progress(deployment: &mut Value, counts: Counts, new: Option<&Value>, moved: bool) -> Outcome {
    let wanted = wanted(deployment);
    let set = new.map(name).unwrap_or_default().to_owned();
    let complete = counts.updated == wanted && counts.replicas == wanted && counts.available >= wanted;
    let paused = deployment.pointer("/spec/paused") == Some(&json!(true));
    let reason = condition(deployment, "Progressing").map_or("", |c| text(c, "/reason")).to_owned();
    let say = |deployment: &mut Value, status, reason: &str, words: &str| {
        if set_condition(deployment, "Progressing", status, reason, words) || moved {
            touch(deployment);
        }
    };
    if paused {
        say(deployment, true, "DeploymentPaused", "Deployment is paused");
        return Outcome::Done;
    }
    if complete {
        if reason != "NewReplicaSetAvailable" || moved {
            let words = format!("ReplicaSet \"{set}\" has successfully progressed.");
            say(deployment, true, "NewReplicaSetAvailable", &words);
        }
        return Outcome::Done;
    }
    if moved || reason.is_empty() || matches!(reason.as_str(), "NewReplicaSetAvailable" | "DeploymentPaused")
    {
        let words = format!("ReplicaSet \"{set}\" is progressing.");
        say(deployment, true, "ReplicaSetUpdated", &words);
    }
    let limit = int(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
    let since =
        condition(deployment, "Progressing").and_then(|c| moment(c, "/lastUpdateTime")).unwrap_or_default();
    let left = limit - Timestamp::now().duration_since(since).as_secs();
    if left > 0 {
        return Outcome::Again(Duration::from_secs(left.unsigned_abs()));
    }
    let words = format!("ReplicaSet \"{set}\" has timed out progressing.");
    say(deployment, false, "ProgressDeadlineExceeded", &words);
    Outcome::Done
}

/// Marks the Progressing condition as updated now: the deadline counts from here.
fn touch(deployment: &mut Value) {
    let conditions = deployment["status"]["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        if condition["type"] == "Progressing" || condition.get("lastUpdateTime").is_none() {
            condition["lastUpdateTime"] = json!(now());
        }
    }
}
