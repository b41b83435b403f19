//! Validation of events that clients create in the group `events.k8s.io`.

use serde_json::Value;

use super::{forbidden, invalid, required};
use crate::error::{Cause, Causes};

/// Maximum bytes of a note.
const MAX_NOTE: usize = 1024;
/// Maximum bytes of action, reason and instance.
const MAX_TEXT: usize = 128;

pub(super) fn check(event: &Value, found: &mut Causes) {
    if !event["eventTime"].is_string() {
        found.push(required("eventTime", ""));
    } else {
        for field in ["reportingController", "reportingInstance", "action", "reason"] {
            match event[field].as_str().unwrap_or_default() {
                "" => found.push(required(field, "")),
                text if text.len() > MAX_TEXT => found.push(too_long(field, MAX_TEXT)),
                _ => {}
            }
        }
        if event["note"].as_str().is_some_and(|note| note.len() > MAX_NOTE) {
            found.push(too_long("note", MAX_NOTE));
        }
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
