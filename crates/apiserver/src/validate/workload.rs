//! Validation of Deployments and ReplicaSets.

use serde_json::Value;

use super::{invalid, metadata, pod, required};
use crate::error::Causes;
use crate::value::items;

pub(super) fn check(value: &Value, found: &mut Causes) {
    let spec = &value["spec"];
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        found.push(invalid("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
    let selector = &spec["selector"];
    if !selector.is_object() {
        found.push(required("spec.selector", ""));
    } else if selector.as_object().is_some_and(serde_json::Map::is_empty) {
        found.push(invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    metadata::labels(labels, "spec.template.metadata.labels", found);
    if !selects(selector, labels) {
        found.push(invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    pod::spec(&spec["template"]["spec"], "spec.template.spec", found);
}

/// Returns whether a selector matches labels; a missing selector matches nothing.
fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let pairs = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut expressions = selector.get("matchExpressions").into_iter().flat_map(items);
    pairs.into_iter().all(|(key, value)| labels[key] == *value)
        && expressions.all(|expression| {
            let value = &labels[expression["key"].as_str().unwrap_or_default()];
            let listed = items(&expression["values"]).any(|listed| listed == value);
            match expression["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => !value.is_null(),
                Some("DoesNotExist") => value.is_null(),
                _ => false,
            }
        })
}
