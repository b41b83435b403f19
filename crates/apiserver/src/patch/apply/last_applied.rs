//! The change from client-side to server-side apply in kubectl.
//!
//! `kubectl apply` stores the applied configuration in an annotation. If `kubectl apply --server-side` (field manager
//! `kubectl`) later changes a field of that configuration, this does not conflict with the manager of the client-side apply.
//! The annotation is kept up to date, so that a later client-side apply can find the fields to remove.

use serde_json::Value;

use super::compare::compare;
use super::config;
use super::field_set::FieldSet;
use crate::kinds::Kind;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The field manager of `kubectl apply --server-side`.
const MANAGER: &str = "kubectl";
/// Maximum total size of annotations in bytes, as in validation. A larger configuration is not stored.
const MAX_SIZE: usize = 256 * 1024;

/// Returns the fields that a manager may take over from others: those of the last client-side apply that still have the
/// applied values.
pub(super) fn transferable(kind: &Kind, manager: &str, live: &Value) -> FieldSet {
    let Some(text) = annotation(live).filter(|_| manager == MANAGER) else { return FieldSet::default() };
    let applied: Value = serde_json::from_str(text).unwrap_or_default();
    if applied["apiVersion"] != kind.api_version().as_str() {
        return FieldSet::default();
    }
    let difference = compare(&kind.ty, live, &applied);
    config::fields(&kind.ty, &applied).difference(&difference.changed).difference(&difference.removed)
}

/// Stores a newly applied configuration in the annotation, if the object has it.
pub(super) fn update(manager: &str, config: &Value, object: &mut Value) {
    if manager != MANAGER || annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let text = format!("{config}\n");
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        if text.len() > MAX_SIZE {
            annotations.remove(ANNOTATION);
        } else {
            annotations.insert(ANNOTATION.to_owned(), text.into());
        }
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())
}
