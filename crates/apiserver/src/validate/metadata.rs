//! Validation of names, labels and annotations.

use serde_json::Value;

use super::{invalid, names};
use crate::error::{Cause, Causes};
use crate::kinds::Kind;

/// Maximum total size of the annotations of an object in bytes.
const MAX_ANNOTATIONS_SIZE: usize = 256 * 1024;

pub(super) fn check(kind: &Kind, value: &Value) -> Causes {
    let mut found = Causes::default();
    let metadata = &value["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let dns = !kind.is_custom() && matches!(kind.kind.as_str(), "Namespace" | "Service");
    let errors = if dns { names::label(name) } else { names::subdomain(name) };
    found.extend(errors.iter().map(|why| invalid("metadata.name", &metadata["name"], why)));
    labels(&metadata["labels"], "metadata.labels", &mut found);
    let annotations = metadata["annotations"].as_object();
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        // The name part of an annotation key may contain upper-case letters.
        let errors = names::qualified(&key.to_lowercase());
        found.extend(errors.iter().map(|why| invalid("metadata.annotations", &key.clone().into(), why)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS_SIZE {
        let message = format!("Too long: may not be more than {MAX_ANNOTATIONS_SIZE} bytes");
        found.push(Cause { reason: "FieldValueTooLong", message, field: "metadata.annotations".to_owned() });
    }
    found
}

pub(super) fn labels(map: &Value, field: &str, found: &mut Causes) {
    for (key, value) in map.as_object().into_iter().flatten() {
        found.extend(names::qualified(key).iter().map(|why| invalid(field, &key.clone().into(), why)));
        let errors = names::label_value(value.as_str().unwrap_or_default());
        found.extend(errors.iter().map(|why| invalid(field, value, why)));
    }
}

pub(super) fn data_keys(value: &Value, found: &mut Causes) {
    for field in ["data", "binaryData"] {
        for key in value[field].as_object().into_iter().flatten().map(|(key, _)| key) {
            let errors = names::data_key(key);
            found.extend(
                errors.iter().map(|why| invalid(&format!("{field}[{key}]"), &key.clone().into(), why)),
            );
        }
    }
}
