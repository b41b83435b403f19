//! Validation of custom resource definitions.

use serde_json::Value;

use super::{invalid, required};
use crate::error::Cause;
use crate::value::items;

pub(super) fn check(value: &Value, found: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    if value["metadata"]["name"] != expected.as_str() {
        found.push(invalid(
            "metadata.name",
            &value["metadata"]["name"],
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.scope", &spec["scope"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.names.kind", &spec["names"]["kind"]),
    ] {
        if text(value).is_empty() {
            found.push(required(field, ""));
        }
    }
    if items(&spec["versions"]).filter(|version| version["storage"] == true).count() != 1 {
        let versions = &spec["versions"];
        found.push(invalid(
            "spec.versions",
            versions,
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in items(&spec["versions"]).enumerate() {
        let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
        let schema = &version["schema"]["openAPIV3Schema"];
        if !schema.is_object() {
            found.push(required(&at, ""));
        } else if schema["type"] != "object" {
            found.push(invalid(&format!("{at}.type"), &schema["type"], "must be object at the root"));
        }
    }
}
