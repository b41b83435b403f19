//! The ReplicaSets of a Deployment: which belongs to the present template, its revision, how many old ones stay.

use serde_json::{Value, json};

use super::{replicas, wanted};
use crate::api::{Api, ApiError, DEPLOYMENTS, Delete, EVENT_NORMAL, Object, REPLICA_SETS};
use crate::object::{annotation, int, name, namespace, owner_reference, set_annotation, short_hash, uid};

/// The annotation that counts a Deployment's templates.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The label that keeps the pods of different templates apart.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations that describe the Deployment's own bookkeeping and are not handed down.
const NOT_COPIED: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/desired-replicas",
    "deprecated.deployment.rollback.to",
];

pub(super) fn revision(set: &Value) -> i64 {
    annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The set made from the Deployment's present template.
pub(super) fn matching(deployment: &Value, owned: &[Object]) -> Option<Object> {
    let template = &deployment["spec"]["template"];
    owned.iter().find(|set| without_hash(&set["spec"]["template"]) == *template).cloned()
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

/// Creates the present template's set, or brings its revision to the front (a rollback).
pub(super) async fn ensure(
    api: &Api,
    deployment: &Value,
    found: Option<Object>,
    owned: &[Object],
) -> Result<Object, ApiError> {
    let newest = owned.iter().map(|set| revision(set)).max().unwrap_or(0);
    let set = match found {
        None => create(api, deployment, newest + 1).await?,
        Some(set) => {
            let number = if revision(&set) < newest { newest + 1 } else { revision(&set) };
            let copied = copied_annotations(deployment);
            api.modify(REPLICA_SETS, namespace(&set), name(&set), |set| {
                let mut changed = set_annotation(set, REVISION, &number.to_string());
                for (key, value) in &copied {
                    changed |= set_annotation(set, key, value);
                }
                changed
            })
            .await?
        }
    };
    let number = revision(&set).to_string();
    api.modify(DEPLOYMENTS, namespace(deployment), name(deployment), |deployment| {
        set_annotation(deployment, REVISION, &number)
    })
    .await?;
    Ok(set)
}

async fn create(api: &Api, deployment: &Value, number: i64) -> Result<Object, ApiError> {
    let template = &deployment["spec"]["template"];
    let hash = short_hash(&json!([uid(deployment), template]));
    let mut labelled = template.clone();
    labelled["metadata"]["labels"][TEMPLATE_HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][TEMPLATE_HASH] = json!(hash);
    let mut annotations: serde_json::Map<String, Value> =
        copied_annotations(deployment).into_iter().map(|(key, value)| (key, json!(value))).collect();
    annotations.insert(REVISION.into(), json!(number.to_string()));
    annotations
        .insert("deployment.kubernetes.io/desired-replicas".into(), json!(wanted(deployment).to_string()));
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)),
            "namespace": namespace(deployment),
            "labels": labelled["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": int(deployment, "/spec/minReadySeconds").unwrap_or(0),
            "selector": selector,
            "template": labelled,
        },
    });
    match api.create(REPLICA_SETS, namespace(deployment), set).await {
        Ok(set) => Ok(set),
        Err(error) => {
            let words = format!("Failed to create new replica set: {error}");
            let reason = "ReplicaSetCreateError";
            api.event(deployment, "Deployment", "apps/v1", "Warning", reason, &words, super::COMPONENT).await;
            Err(error)
        }
    }
}

fn copied_annotations(deployment: &Value) -> Vec<(String, String)> {
    let all = deployment.pointer("/metadata/annotations").and_then(Value::as_object);
    all.into_iter()
        .flatten()
        .filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Deletes the oldest sets that run nothing, beyond the history limit (10 unless set).
pub(super) async fn forget_oldest(api: &Api, deployment: &Value, old: &[&Object]) -> Result<(), ApiError> {
    let limit = int(deployment, "/spec/revisionHistoryLimit").and_then(|limit| usize::try_from(limit).ok());
    let idle: Vec<_> = old
        .iter()
        .filter(|set| replicas(set) == 0 && int(set, "/status/replicas").unwrap_or(0) == 0)
        .collect();
    for set in idle.iter().take(idle.len().saturating_sub(limit.unwrap_or(10))) {
        match api.delete(REPLICA_SETS, namespace(set), name(set), Delete::of(uid(set))).await {
            Ok(()) | Err(ApiError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let words = format!("Deleted replica set {}", name(set));
        let reason = "DeletedReplicaSet";
        api.event(deployment, "Deployment", "apps/v1", EVENT_NORMAL, reason, &words, super::COMPONENT).await;
    }
    Ok(())
}
