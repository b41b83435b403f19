//! Events in the group `events.k8s.io`: the same objects as in the core group, with other field names.

use serde_json::Value;

/// The group of the newer events API.
pub(super) const GROUP: &str = "events.k8s.io";
/// The version in which events are stored.
pub(super) const STORED_VERSION: &str = "v1";

/// Field names in the core group and in `events.k8s.io`.
const FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Renames the fields of an event of the core group.
pub(super) fn from_core(event: &mut Value) {
    rename(event, FIELDS);
    // In this group, these are not written if they are empty.
    for field in ["reportingController", "reportingInstance"] {
        if event[field] == "" {
            event.as_object_mut().map(|map| map.remove(field));
        }
    }
}

/// Renames the fields of an event of `events.k8s.io`.
pub(super) fn to_core(event: &mut Value) {
    rename(event, FIELDS.map(|(core, new)| (new, core)));
    for field in ["reportingComponent", "reportingInstance"] {
        crate::value::default(event, field, "");
    }
    crate::value::default(event, "involvedObject", serde_json::json!({}));
}

/// Returns the field of the core group that a field selector of `events.k8s.io` refers to.
pub(super) fn core_path(path: &str) -> Option<String> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match first {
        "regarding" if !rest.is_empty() => Some(format!("involvedObject.{rest}")),
        "reportingController" => Some("reportingComponent".to_owned()),
        "reason" | "type" | "metadata" => Some(path.to_owned()),
        _ => None,
    }
}

fn rename<const N: usize>(event: &mut Value, fields: [(&str, &str); N]) {
    let Some(map) = event.as_object_mut() else { return };
    for (old, new) in fields {
        if let Some(value) = map.remove(old) {
            map.insert(new.to_owned(), value);
        }
    }
}
