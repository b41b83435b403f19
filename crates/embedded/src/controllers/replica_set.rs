//! ReplicaSets: as many pods of a template as are asked for.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::queue::{own_key, owner_key};
use super::{Key, Outcome, run};
use crate::api::{Api, ApiError, Delete, EVENT_NORMAL, Object, PODS, REPLICA_SETS};
use crate::object::{condition, controller_uid, holds, int, is_deleting, moment, name, namespace, text, uid};

/// The component named in events.
const COMPONENT: &str = "replicaset-controller";

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let sources: Vec<super::Source> =
        vec![(REPLICA_SETS, own_key), (PODS, |pod| owner_key(pod, "ReplicaSet"))];
    run(api, tasks, "replicaset", sources, |api, key| async move { reconcile(&api, &key).await });
}

async fn reconcile(api: &Api, key: &Key) -> Result<Outcome, ApiError> {
    let Some(set) = api.get(REPLICA_SETS, &key.0, &key.1) else { return Ok(Outcome::Done) };
    let pods = active_pods(api, &set);
    if !is_deleting(&set) {
        let wanted = usize::try_from(int(&set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
        if pods.len() < wanted {
            for _ in pods.len()..wanted {
                create_pod(api, &set).await?;
            }
        } else if pods.len() > wanted {
            for pod in superfluous(&pods, wanted) {
                delete_pod(api, &set, &pod).await?;
            }
        }
    }
    update_status(api, key, &set).await
}

/// The pods a ReplicaSet counts: its own, not ending, not ended.
fn active_pods(api: &Api, set: &Value) -> Vec<Object> {
    let mut pods = api.list(PODS, Some(namespace(set)));
    pods.retain(|pod| {
        controller_uid(pod) == Some(uid(set))
            && !is_deleting(pod)
            && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
    });
    pods
}

/// Which pods go first: those that serve least, and among equals the youngest.
fn superfluous(pods: &[Object], wanted: usize) -> Vec<Object> {
    let mut sorted = pods.to_vec();
    sorted.sort_by_cached_key(|pod| usefulness(pod));
    sorted.truncate(pods.len() - wanted);
    sorted
}

/// The order in which pods are kept: what runs, what is ready, what is old.
fn usefulness(pod: &Value) -> (bool, bool, Reverse<String>) {
    let running = text(pod, "/status/phase") == "Running";
    (running, holds(pod, "Ready"), Reverse(text(pod, "/metadata/creationTimestamp").to_owned()))
}

async fn create_pod(api: &Api, set: &Value) -> Result<(), ApiError> {
    let mut pod = set["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["generateName"] = json!(format!("{}-", name(set)));
    pod["metadata"]["namespace"] = json!(namespace(set));
    pod["metadata"]["ownerReferences"] =
        json!([crate::object::owner_reference(set, "apps/v1", "ReplicaSet")]);
    match api.create(PODS, namespace(set), pod).await {
        Ok(pod) => {
            let words = format!("Created pod: {}", name(&pod));
            api.event(set, "ReplicaSet", "apps/v1", EVENT_NORMAL, "SuccessfulCreate", &words, COMPONENT)
                .await;
            Ok(())
        }
        Err(error) => {
            let words = format!("Error creating: {error}");
            api.event(set, "ReplicaSet", "apps/v1", "Warning", "FailedCreate", &words, COMPONENT).await;
            Err(error)
        }
    }
}

async fn delete_pod(api: &Api, set: &Value, pod: &Value) -> Result<(), ApiError> {
    match api.delete(PODS, namespace(pod), name(pod), Delete::of(uid(pod))).await {
        Ok(()) | Err(ApiError::NotFound) => {}
        Err(error) => return Err(error),
    }
    let words = format!("Deleted pod: {}", name(pod));
    api.event(set, "ReplicaSet", "apps/v1", EVENT_NORMAL, "SuccessfulDelete", &words, COMPONENT).await;
    Ok(())
}

async fn update_status(api: &Api, key: &Key, set: &Value) -> Result<Outcome, ApiError> {
    let pods = active_pods(api, set);
    let min_ready = int(set, "/spec/minReadySeconds").unwrap_or(0);
    let ready = pods.iter().filter(|pod| holds(pod, "Ready")).count();
    let waits: Vec<i64> = pods.iter().filter_map(|pod| seconds_to_available(pod, min_ready)).collect();
    let available = waits.iter().filter(|wait| **wait == 0).count();
    let mut status = json!({
        "replicas": pods.len(),
        "observedGeneration": int(set, "/metadata/generation").unwrap_or(1),
    });
    // Zero counts are left out, as Kubernetes does, so that an unchanged status stays unchanged.
    for (field, count) in
        [("fullyLabeledReplicas", pods.len()), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    api.modify_status(REPLICA_SETS, &key.0, &key.1, |set| {
        let changed = set["status"] != status;
        set["status"] = status.clone();
        changed
    })
    .await?;
    let next = waits.into_iter().filter(|wait| *wait > 0).min();
    Ok(next.map_or(Outcome::Done, |wait| Outcome::Again(Duration::from_secs(wait.unsigned_abs()))))
}

/// Seconds until a ready pod counts as available; none for a pod that is not ready.
fn seconds_to_available(pod: &Value, min_ready: i64) -> Option<i64> {
    if !holds(pod, "Ready") {
        return None;
    }
    let since = moment(condition(pod, "Ready")?, "/lastTransitionTime")?;
    let age = Timestamp::now().duration_since(since).as_secs();
    Some((min_ready - age).max(0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::usefulness;
    use crate::object::name;

    fn pod(name: &str, phase: &str, ready: &str, created: &str) -> Value {
        json!({
            "metadata": { "name": name, "creationTimestamp": created },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    #[test]
    fn pods_that_serve_least_go_first_and_then_the_youngest() {
        let mut pods = [
            pod("old-ready", "Running", "True", "2026-01-01T00:00:00Z"),
            pod("young-ready", "Running", "True", "2026-01-02T00:00:00Z"),
            pod("unready", "Running", "False", "2026-01-01T00:00:00Z"),
            pod("pending", "Pending", "False", "2026-01-01T00:00:00Z"),
        ];
        pods.sort_by_cached_key(usefulness);
        let order: Vec<_> = pods.iter().map(name).collect();
        assert_eq!(order, ["pending", "unready", "young-ready", "old-ready"]);
    }
}
