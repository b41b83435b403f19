//! Defaults of custom resource definitions.

use serde_json::{Value, json};

use crate::clock::now;
use crate::kinds::approval::{Approval, is_protected};
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
    let approval = is_protected(value["spec"]["group"].as_str().unwrap_or_default()).then(|| approval(value));
    let status = &mut value["status"];
    if items(&status["conditions"]).next().is_none() {
        let accepted = [
            condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
            condition("Established", true, "InitialNamesAccepted", "the initial names have been accepted"),
        ];
        status["conditions"] = accepted.into_iter().chain(approval).collect();
    }
    status["acceptedNames"] = names;
    let mut versions: Vec<Value> = items(&status["storedVersions"]).cloned().collect();
    if !stored.is_null() && !versions.contains(&stored) {
        versions.push(stored);
    }
    status["storedVersions"] = versions.into();
}

fn condition(condition_type: &str, is_met: bool, reason: &str, message: &str) -> Value {
    json!({
        "type": condition_type, "status": if is_met { "True" } else { "False" }, "lastTransitionTime": now(),
        "reason": reason, "message": message,
    })
}

/// Returns the condition with the approval of a definition in a group of Kubernetes.
fn approval(definition: &Value) -> Value {
    let (is_met, reason, message) = match Approval::of(definition) {
        Approval::Approved(url) => (true, "ApprovedAnnotation", format!("approved in {url}")),
        Approval::Unapproved(text) => (false, "UnapprovedAnnotation", format!("not approved: {text:?}")),
        Approval::Missing | Approval::Invalid(_) => {
            (false, "MissingAnnotation", "the annotation api-approved.kubernetes.io is missing".to_owned())
        }
    };
    condition("KubernetesAPIApprovalPolicyConformant", is_met, reason, &message)
}
