//! Objects that go: at once, after their finalizers, or after a pod's grace.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{TRIES, prepare, review, update::is_free};
use crate::Operation;
use crate::core::Core;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, Propagation, WriteOptions};
use crate::store::{Expect, Key, Object};

/// The namespaces that the cluster itself stands on; the real server's admission refuses their deletion as well.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What a deletion did.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// The object's last state; still there when not `gone`.
    pub object: Arc<Object>,
    /// It is no longer stored.
    pub gone: bool,
}

impl Core {
    /// Deletes an object or marks it as on its way out.
    pub(crate) async fn delete(&self, kind: &Kind, key: &Key, options: &DeleteOptions) -> Result<Deleted> {
        let resource = kind.resource();
        if kind.kind == "Namespace" && !kind.is_custom() && IMMORTAL.contains(&key.name.as_str()) {
            return Err(ApiError::forbidden(&resource, &key.name, "this namespace may not be deleted"));
        }
        let collection = self.store.collection(&resource);
        for _ in 0..TRIES {
            let live = collection.get(key).ok_or_else(|| ApiError::not_found(&resource, &key.name))?;
            check_preconditions(&resource, key, &live, options)?;
            let write = WriteOptions { dry_run: options.dry_run, ..WriteOptions::default() };
            let mut review = review(kind, Operation::Delete, &live, &write);
            review.old = Some(live.value().clone());
            self.admit(&review, &live).await?;
            let mut value = live.value().clone();
            mark(kind, &mut value, options);
            let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
            let gone = is_free(&value) && grace == 0;
            let unchanged = value == *live.value();
            if options.dry_run || (unchanged && !gone) {
                return Ok(Deleted { object: Arc::new(Object::new(value, live.revision())), gone });
            }
            let stored = if gone {
                collection.remove(key, live.revision(), Some(last_state(kind, &live, value)))
            } else {
                collection.put(key.clone(), Expect::Revision(live.revision()), value)
            };
            let Ok(object) = stored else { continue };
            if gone {
                self.removed(kind, &object);
            } else {
                self.stored(kind, &object);
            }
            return Ok(Deleted { object, gone });
        }
        Err(ApiError::modified(&resource, &key.name))
    }
}

/// What an object looks like when it is gone: pods, and what was on its way out before, carry the marks of it.
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

/// Writes the marks of a deletion: its time, its grace and the finalizers its propagation asks for.
fn mark(kind: &Kind, value: &mut Value, options: &DeleteOptions) {
    let grace =
        if kind.kind == "Pod" && !kind.is_custom() { pod_grace(value, options.grace_seconds) } else { 0 };
    let metadata = &mut value["metadata"];
    if !metadata["deletionTimestamp"].is_string() {
        let when = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        metadata["deletionTimestamp"] = when.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
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

/// Seconds a pod gets to end: none when it never reached a node or has ended.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if ended || pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return 0;
    }
    asked.or(pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
}
