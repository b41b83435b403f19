//! Names, labels and annotations.

use serde_json::Value;

use super::{invalid, names};
use crate::error::Cause;
use crate::kinds::Kind;

/// What an object's annotations may hold together, in bytes.
const MOST_ANNOTATIONS: usize = 256 * 1024;

pub(super) fn check(kind: &Kind, value: &Value) -> Vec<Cause> {
    let mut found = Vec::new();
    let metadata = &value["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let dns = !kind.is_custom() && matches!(kind.kind.as_str(), "Namespace" | "Service");
    let wrong = if dns { names::label(name) } else { names::subdomain(name) };
    found.extend(wrong.iter().map(|why| invalid("metadata.name", &metadata["name"], why)));
    labels(&metadata["labels"], "metadata.labels", &mut found);
    let annotations = metadata["annotations"].as_object();
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        // An annotation's key may have capitals, unlike its prefix.
        let wrong = names::qualified(&key.to_lowercase());
        found.extend(wrong.iter().map(|why| invalid("metadata.annotations", &key.clone().into(), why)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MOST_ANNOTATIONS {
        let message = format!("Too long: may not be more than {MOST_ANNOTATIONS} bytes");
        found.push(Cause { reason: "FieldValueTooLong", message, field: "metadata.annotations".to_owned() });
    }
    found
}

pub(super) fn labels(map: &Value, field: &str, found: &mut Vec<Cause>) {
    for (key, value) in map.as_object().into_iter().flatten() {
        found.extend(names::qualified(key).iter().map(|why| invalid(field, &key.clone().into(), why)));
        let wrong = names::label_value(value.as_str().unwrap_or_default());
        found.extend(wrong.iter().map(|why| invalid(field, value, why)));
    }
}

pub(super) fn data_keys(value: &Value, found: &mut Vec<Cause>) {
    for field in ["data", "binaryData"] {
        for key in value[field].as_object().into_iter().flatten().map(|(key, _)| key) {
            let wrong = names::data_key(key);
            found.extend(
                wrong.iter().map(|why| invalid(&format!("{field}[{key}]"), &key.clone().into(), why)),
            );
        }
    }
}
