//! Validation of events that clients create.

use serde_json::Value;

use super::{forbidden, invalid, names, required};
use crate::error::{Cause, Causes};
use crate::kinds::Kind;

/// Maximum characters of a note.
const MAX_NOTE: usize = 1024;
/// Maximum characters of action, reason and instance.
const MAX_TEXT: usize = 128;

/// Checks a new event in the form of the core group, or of `events.k8s.io` (with other field names).
pub(super) fn check(kind: &Kind, event: &Value, found: &mut Causes) {
    let is_new = kind.is_new_event();
    if is_new {
        check_new(event, found);
        if !found.is_empty() {
            return;
        }
    }
    let has_time = event["eventTime"].is_string();
    let object = if is_new { &event["regarding"] } else { &event["involvedObject"] };
    check_namespace(&event["metadata"]["namespace"], &object["namespace"], has_time, found);
    if !has_time {
        return;
    }
    let controller = if is_new { "reportingController" } else { "reportingComponent" };
    for field in [controller, "reportingInstance", "action", "reason"] {
        match event[field].as_str().unwrap_or_default() {
            "" => {
                found.push(required(field, ""));
                if field == controller {
                    found.extend(names::qualified("").iter().map(|why| invalid(field, &"".into(), why)));
                }
            }
            text if text.len() > MAX_TEXT => found.push(too_long(field, MAX_TEXT)),
            _ => {}
        }
    }
    let note = if is_new { &event["note"] } else { &event["message"] };
    if note.as_str().is_some_and(|note| note.len() > MAX_NOTE) {
        found.push(too_long("message", MAX_NOTE));
    }
}

/// Checks that an event is in the namespace of its object. Events of objects without a namespace are in `default`, and
/// newer ones also in `kube-system`.
fn check_namespace(event: &Value, object: &Value, has_time: bool, found: &mut Causes) {
    let namespace = event.as_str().unwrap_or_default();
    let agrees = match object.as_str().unwrap_or_default() {
        "" => namespace == "default" || (has_time && namespace == "kube-system"),
        object => has_time || object == namespace,
    };
    if !agrees {
        let object = object.as_str().unwrap_or_default();
        found.push(invalid("involvedObject.namespace", &object.into(), "does not match event.namespace"));
    }
}

/// Checks what only events in `events.k8s.io` need.
fn check_new(event: &Value, found: &mut Causes) {
    if !event["eventTime"].is_string() {
        found.push(required("eventTime", ""));
    }
    if !matches!(event["type"].as_str(), Some("Normal" | "Warning")) {
        let text = event["type"].as_str().unwrap_or_default();
        found.push(invalid("type", &text.into(), &format!("has invalid value: {text}")));
    }
    for field in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount"] {
        if !event[field].is_null() {
            found.push(forbidden(field, "needs to be unset"));
        }
    }
}

fn too_long(field: &str, max: usize) -> Cause {
    let message = format!("Invalid value: can have at most {max} characters");
    Cause { reason: "FieldValueInvalid", message, field: field.to_owned() }
}
