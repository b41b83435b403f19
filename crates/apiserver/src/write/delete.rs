//! Delete requests: immediate, after finalizers, or after the grace period of a pod.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ATTEMPTS, Writer, admission_request, prepare};
use crate::admission::Operation;
use crate::clock;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, Propagation, WriteOptions};
use crate::store::{Expect, Key, Object};

/// Namespaces that cannot be deleted, as in kube-apiserver's admission plugin `NamespaceLifecycle`.
const PROTECTED_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The result of a deletion.
#[derive(Clone, Debug)]
pub struct DeleteResult {
    /// The last state of the object.
    pub object: Arc<Object>,
    /// Whether the object is removed. Otherwise it waits for finalizers or its grace period.
    pub removed: bool,
}

impl Writer<'_> {
    /// Deletes an object, or sets its deletion timestamp if finalizers or a grace period delay the removal.
    pub(crate) async fn delete(
        &self,
        kind: &Kind,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<DeleteResult> {
        let resource = kind.resource();
        if kind.kind == "Namespace" && !kind.is_custom() && PROTECTED_NAMESPACES.contains(&key.name.as_str())
        {
            return Err(ApiError::forbidden(&resource, &key.name, "this namespace may not be deleted"));
        }
        let collection = self.store.collection(&kind.collection());
        for _ in 0..ATTEMPTS {
            let live = collection.get(key).ok_or_else(|| ApiError::not_found(&resource, &key.name))?;
            check_preconditions(&resource, key, &live, options)?;
            let write = WriteOptions { dry_run: options.dry_run, ..WriteOptions::default() };
            let mut request = admission_request(kind, Operation::Delete, &live, &write);
            request.old = Some(live.value().clone());
            self.admit(&request, &live).await?;
            let mut value = live.value().clone();
            mark_deleted(kind, &mut value, options);
            let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
            let removed = prepare::has_no_finalizers(&value) && grace == 0;
            let unchanged = value == *live.value();
            if options.dry_run || (unchanged && !removed) {
                return Ok(DeleteResult { object: Arc::new(Object::new(value, live.revision())), removed });
            }
            let stored = if removed {
                collection.remove(key, live.revision(), Some(last_state(kind, &live, value)))
            } else {
                collection.put(key.clone(), Expect::Revision(live.revision()), value)
            };
            let Ok(object) = stored else { continue };
            if removed {
                self.after_remove(kind, &object);
            } else {
                self.after_store(kind, &object);
            }
            return Ok(DeleteResult { object, removed });
        }
        Err(ApiError::modified(&resource, &key.name))
    }
}

/// Returns the state in the deletion event: with deletion timestamp for pods and objects that already had one.
fn last_state(kind: &Kind, live: &Object, marked: Value) -> Value {
    let pod = kind.kind == "Pod" && !kind.is_custom();
    if pod || live["metadata"]["deletionTimestamp"].is_string() { marked } else { live.value().clone() }
}

fn check_preconditions(resource: &str, key: &Key, live: &Object, options: &DeleteOptions) -> Result<()> {
    let found = |field: &str| live["metadata"][field].as_str().unwrap_or_default().to_owned();
    if let Some(uid) = options.uid.as_ref().filter(|uid| **uid != found("uid")) {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", found("uid"));
        return Err(ApiError::conflict(resource, &key.name, &why));
    }
    if let Some(version) =
        options.resource_version.as_ref().filter(|version| **version != found("resourceVersion"))
    {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
            found("resourceVersion")
        );
        return Err(ApiError::conflict(resource, &key.name, &why));
    }
    Ok(())
}

/// Sets deletion timestamp, grace period and the finalizers of the propagation policy.
fn mark_deleted(kind: &Kind, value: &mut Value, options: &DeleteOptions) {
    let grace =
        if kind.kind == "Pod" && !kind.is_custom() { pod_grace(value, options.grace_seconds) } else { 0 };
    let metadata = &mut value["metadata"];
    if !metadata["deletionTimestamp"].is_string() {
        metadata["deletionTimestamp"] = clock::after(grace).into();
        metadata["deletionGracePeriodSeconds"] = grace.into();
        if prepare::has_generation(kind) {
            metadata["generation"] = (metadata["generation"].as_i64().unwrap_or_default() + 1).into();
        }
    } else if options.grace_seconds.is_some()
        && grace < metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default()
    {
        metadata["deletionGracePeriodSeconds"] = grace.into();
    }
    let mut finalizers: Vec<Value> = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    if let Some(propagation) = options.propagation {
        finalizers.retain(|finalizer| finalizer != "orphan" && finalizer != "foregroundDeletion");
        match propagation {
            Propagation::Orphan => finalizers.push(json!("orphan")),
            Propagation::Foreground => finalizers.push(json!("foregroundDeletion")),
            Propagation::Background => {}
        }
    }
    if finalizers.is_empty() {
        metadata.as_object_mut().map(|map| map.remove("finalizers"));
    } else {
        metadata["finalizers"] = finalizers.into();
    }
    if kind.kind == "Namespace" && !kind.is_custom() {
        value["status"]["phase"] = "Terminating".into();
    }
}

/// Returns the grace period of a pod in seconds: 0 if it is not scheduled or already terminated.
fn pod_grace(pod: &Value, requested: Option<i64>) -> i64 {
    let terminated = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if terminated || pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return 0;
    }
    requested.or(pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
}
