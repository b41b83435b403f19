//! The ReplicaSets of a Deployment: the one of the current template, the revisions, the history.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::spec::{desired_replicas, replicas};
use crate::api::{Api, ApiError, Deletion};
use crate::controllers::controller::Context;
use crate::events::{Component, EventType};
use crate::object::{ObjectExt, controller_reference, set_annotation, short_hash};

/// The annotation that numbers the templates of a Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation of a ReplicaSet with the replicas of its Deployment.
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The label that separates the pods of different templates.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that are not copied to its ReplicaSets.
const NOT_COPIED: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    DESIRED_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// Old ReplicaSets that are kept unless the Deployment sets `revisionHistoryLimit`.
const DEFAULT_HISTORY_LIMIT: i32 = 10;

/// Returns the ReplicaSets of a Deployment, oldest revision first.
pub(super) fn owned(api: &Api, deployment: &Deployment) -> Vec<Arc<ReplicaSet>> {
    let mut owned = api.list::<ReplicaSet>(Some(deployment.namespace()));
    owned.retain(|set| set.is_controlled_by(deployment.uid()) && !set.is_deleting());
    owned.sort_by_key(|set| revision(set));
    owned
}

/// Returns the ReplicaSet of the current template.
pub(super) fn current(deployment: &Deployment, owned: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    let template = deployment.spec.as_ref().map(|spec| &spec.template)?;
    let is_current = |set: &&Arc<ReplicaSet>| {
        let found = set.spec.as_ref().and_then(|spec| spec.template.clone());
        found.is_some_and(|found| without_hash(found) == without_hash(template.clone()))
    };
    owned.iter().find(is_current).cloned()
}

fn without_hash(mut template: PodTemplateSpec) -> PodTemplateSpec {
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

fn revision(set: &ReplicaSet) -> i64 {
    set.annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Creates the ReplicaSet of the current template, or makes it the newest revision (a rollback).
pub(super) async fn ensure(
    context: &Context,
    deployment: &Deployment,
    current: Option<Arc<ReplicaSet>>,
    owned: &[Arc<ReplicaSet>],
) -> Result<Arc<ReplicaSet>, ApiError> {
    let newest = owned.iter().map(|set| revision(set)).max().unwrap_or(0);
    let set = match current {
        None => create(context, deployment, newest + 1).await?,
        Some(set) => {
            let number = if revision(&set) < newest { newest + 1 } else { revision(&set) };
            let copied = copied_annotations(deployment);
            let change = |set: &mut ReplicaSet| {
                set_annotation(&mut set.metadata, REVISION, &number.to_string());
                for (key, value) in &copied {
                    set_annotation(&mut set.metadata, key, value);
                }
            };
            context.api.modify(set.namespace(), set.name(), change).await?
        }
    };
    let number = revision(&set).to_string();
    let change = |deployment: &mut Deployment| {
        set_annotation(&mut deployment.metadata, REVISION, &number);
    };
    context.api.modify(deployment.namespace(), deployment.name(), change).await?;
    Ok(set)
}

async fn create(
    context: &Context,
    deployment: &Deployment,
    revision: i64,
) -> Result<Arc<ReplicaSet>, ApiError> {
    let created = context.api.create(&replica_set(deployment, revision)).await;
    if let Err(error) = &created {
        let message = format!("Failed to create new replica set: {error}");
        let component = Component::DeploymentController;
        let reason = "ReplicaSetCreateError";
        context.events.record(deployment, EventType::Warning, reason, &message, component).await;
    }
    created
}

/// Returns the ReplicaSet of the current template, without replicas.
fn replica_set(deployment: &Deployment, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = short_hash(&(deployment.uid(), &spec.template));
    let with_hash = |labels: &mut Option<BTreeMap<String, String>>| {
        labels.get_or_insert_default().insert(TEMPLATE_HASH.to_owned(), hash.clone());
    };
    let (mut template, mut selector) = (spec.template, spec.selector);
    let labels = &mut template.metadata.get_or_insert_default().labels;
    with_hash(labels);
    let labels = labels.clone();
    with_hash(&mut selector.match_labels);
    let mut annotations = copied_annotations(deployment);
    annotations.insert(REVISION.to_owned(), revision.to_string());
    annotations.insert(DESIRED_REPLICAS.to_owned(), desired_replicas(deployment).to_string());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name())),
            namespace: Some(deployment.namespace().to_owned()),
            labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: Some(spec.min_ready_seconds.unwrap_or(0)),
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

fn copied_annotations(deployment: &Deployment) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    annotations
}

/// Deletes the oldest ReplicaSets without pods that exceed the history limit.
pub(super) async fn prune_history(
    context: &Context,
    deployment: &Deployment,
    old: &[&Arc<ReplicaSet>],
) -> Result<(), ApiError> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let limit = usize::try_from(limit.unwrap_or(DEFAULT_HISTORY_LIMIT)).unwrap_or(0);
    let idle: Vec<_> = old
        .iter()
        .filter(|set| replicas(set) == 0 && set.status.as_ref().is_none_or(|status| status.replicas == 0))
        .collect();
    for set in idle.iter().take(idle.len().saturating_sub(limit)) {
        match context.api.delete::<ReplicaSet>(set.namespace(), set.name(), Deletion::of(set.uid())).await {
            Ok(()) | Err(ApiError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let message = format!("Deleted replica set {}", set.name());
        let component = Component::DeploymentController;
        let reason = "DeletedReplicaSet";
        context.events.record(deployment, EventType::Normal, reason, &message, component).await;
    }
    Ok(())
}
