//! Custom resource definitions.

use serde_json::{Value, json};

use crate::value::{default, items, items_mut};
use crate::write::now;

/// Fills in names and conversion.
pub(super) fn fill(spec: &mut Value) {
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

/// Accepts a definition's names and calls it established. Kubernetes does this a moment later, in a controller of the
/// server's own; here the kinds are served as soon as the definition is stored.
pub(crate) fn accept(value: &mut Value) {
    let names = value["spec"]["names"].clone();
    let stored = items(&value["spec"]["versions"]).find(|version| version["storage"] == true);
    let stored = stored.map(|version| version["name"].clone()).unwrap_or_default();
    let status = &mut value["status"];
    let condition = |word: &str, reason: &str, message: &str| json!({"type": word, "status": "True", "lastTransitionTime": now(), "reason": reason, "message": message});
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
