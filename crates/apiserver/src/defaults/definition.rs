//! Defaults of custom resource definitions.

use serde_json::{Value, json};

use crate::clock::now;
use crate::value::{default, items, items_mut};

/// Sets names and conversion.
pub(super) fn set_defaults(spec: &mut Value) {
    default(spec, "conversion", json!({"strategy": "None"}));
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let names = &mut spec["names"];
    if names.is_object() {
        default(names, "singular", kind.to_lowercase());
        default(names, "listKind", format!("{kind}List"));
    }
    for version in spec.get_mut("versions").into_iter().flat_map(items_mut) {
        for column in version.get_mut("additionalPrinterColumns").into_iter().flat_map(items_mut) {
            crate::value::drop_nulls(column);
        }
    }
}

/// Sets accepted names and the conditions `NamesAccepted` and `Established`. In Kubernetes a controller does this after the
/// write; here the kinds are served as soon as the definition is stored.
pub(crate) fn set_accepted(value: &mut Value) {
    let names = value["spec"]["names"].clone();
    let stored = items(&value["spec"]["versions"]).find(|version| version["storage"] == true);
    let stored = stored.map(|version| version["name"].clone()).unwrap_or_default();
    let status = &mut value["status"];
    let condition = |condition_type: &str, reason: &str, message: &str| json!({"type": condition_type, "status": "True", "lastTransitionTime": now(), "reason": reason, "message": message});
    if items(&status["conditions"]).next().is_none() {
        status["conditions"] = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
    }
    status["acceptedNames"] = names;
    let mut versions: Vec<Value> = items(&status["storedVersions"]).cloned().collect();
    if !stored.is_null() && !versions.contains(&stored) {
        versions.push(stored);
    }
    status["storedVersions"] = versions.into();
}
