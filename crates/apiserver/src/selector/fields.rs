//! Field selectors.

use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::kinds::Kind;

/// A condition on one field.
#[derive(Clone, Debug)]
pub(super) struct FieldRequirement {
    path: String,
    /// Whether the field must be equal to the value, or different.
    equal: bool,
    value: String,
}

impl FieldRequirement {
    /// Returns whether an object matches.
    pub(super) fn matches(&self, object: &Value) -> bool {
        (field_text(object, &self.path) == self.value) == self.equal
    }
}

/// Parses a field selector.
///
/// # Errors
/// 400 for invalid syntax and for fields that the kind does not support in selectors.
pub(super) fn parse(kind: &Kind, text: &str) -> Result<Vec<FieldRequirement>> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = part.split_once('=') {
            (path, true, value.strip_prefix('=').unwrap_or(value))
        } else {
            return Err(ApiError::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            )));
        };
        let stored_path = kind.stored_path(path).filter(|path| is_selectable(kind, path));
        let Some(stored_path) = stored_path else {
            let message = format!("field label not supported: {path}");
            return Err(ApiError::bad_request(match kind.is_custom() {
                true => message,
                false => format!("\"{path}\" is not a known field selector: {message}"),
            }));
        };
        found.push(FieldRequirement { path: stored_path, equal, value: value.to_owned() });
    }
    Ok(found)
}

/// Returns whether a kind supports a field in selectors.
fn is_selectable(kind: &Kind, path: &str) -> bool {
    let more: &[&str] = match kind.kind.as_str() {
        _ if kind.is_custom() => &[],
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "Secret" => &["type"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "ReplicaSet" => &["status.replicas"],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    };
    path == "metadata.name" || (path == "metadata.namespace" && kind.namespaced) || more.contains(&path)
}

/// Returns the text of a field for comparison.
fn field_text(object: &Value, path: &str) -> String {
    let found = if path == "source" {
        &object["source"]["component"]
    } else {
        path.split('.').fold(object, |value, name| &value[name])
    };
    match found {
        Value::String(text) => text.clone(),
        Value::Null if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
        Value::Null if path == "status.replicas" => "0".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
