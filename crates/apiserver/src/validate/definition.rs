//! Validation of custom resource definitions.

use serde_json::Value;

use super::{invalid, names, required};
use crate::error::Causes;
use crate::kinds;
use crate::kinds::approval::{Approval, is_protected};
use crate::value::items;

const APPROVAL: &str = "metadata.annotations[api-approved.kubernetes.io]";
const APPROVAL_NEEDED: &str = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
const APPROVAL_POLICY: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

pub(super) fn check(value: &Value, found: &mut Causes) {
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
    group(value, found);
    plural(spec, found);
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

/// Checks that a group is a domain, and that a group of Kubernetes is approved.
fn group(definition: &Value, found: &mut Causes) {
    let value = &definition["spec"]["group"];
    let group = value.as_str().unwrap_or_default();
    if group.is_empty() {
        return;
    }
    let errors = names::subdomain(group);
    found.extend(errors.iter().map(|why| invalid("spec.group", value, why)));
    if errors.is_empty() && !group.contains('.') {
        found.push(invalid("spec.group", value, "should be a domain with at least one dot"));
    }
    if !is_protected(group) {
        return;
    }
    match Approval::of(definition) {
        Approval::Missing => found.push(required(APPROVAL, &format!("{APPROVAL_NEEDED}, {APPROVAL_POLICY}"))),
        Approval::Invalid(text) => {
            let why = format!(
                "{APPROVAL_NEEDED} with either a URL or a reason starting with \"unapproved\", {APPROVAL_POLICY}"
            );
            found.push(invalid(APPROVAL, &text.into(), &why));
        }
        Approval::Approved(_) | Approval::Unapproved(_) => {}
    }
}

/// Checks that plural and kind are names, and that this server has no built-in kind with them. kube-apiserver accepts a
/// definition with the names of a built-in kind if its group is approved, and ignores it.
fn plural(spec: &Value, found: &mut Causes) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural, kind) =
        (text(&spec["group"]), text(&spec["names"]["plural"]), text(&spec["names"]["kind"]));
    for (field, name) in [("plural", &plural), ("kind", &kind.to_lowercase())] {
        if !name.is_empty() {
            let at = format!("spec.names.{field}");
            found.extend(names::dns_1035(name).iter().map(|why| invalid(&at, &spec["names"][field], why)));
        }
    }
    if !found.is_empty() {
        return;
    }
    if kinds::is_builtin_plural(&group, &plural) {
        found.push(invalid(
            "spec.names.plural",
            &spec["names"]["plural"],
            "is a built-in resource of this group",
        ));
    } else if kinds::is_builtin_kind(&group, &kind) {
        found.push(invalid("spec.names.kind", &spec["names"]["kind"], "is a built-in kind of this group"));
    }
}
