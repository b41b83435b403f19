//! Aggregated discovery: all groups in one document.

use serde_json::{Value, json};

use super::Document;
use crate::kinds::{Kind, KindSet};

/// Returns the version of aggregated discovery that a client accepts, if any.
pub(super) fn accepted_version(accept: &str) -> Option<&'static str> {
    let accepted = |version: &str| {
        accept.split(',').filter(|media_type| media_type.contains("as=APIGroupDiscoveryList")).any(
            |media_type| {
                let in_middle = media_type.contains(&format!("v={version};"));
                (in_middle && media_type.contains("application/json"))
                    || media_type.trim_end().ends_with(&format!("v={version}"))
            },
        )
    };
    ["v2", "v2beta1"].into_iter().find(|version| accepted(version))
}

/// Returns the document for `/api` (the core group) or `/apis` (the named groups).
pub(super) fn document(kinds: &KindSet, version: &str, core: bool) -> Document {
    let groups = match core {
        true => vec![group(kinds, "", &["v1".to_owned()])],
        false => super::groups(kinds).iter().map(|(name, versions)| group(kinds, name, versions)).collect(),
    };
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": groups,
    });
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    Document { content_type, body }
}

fn group(kinds: &KindSet, name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let members = super::members(kinds, name, version);
            let resources: Vec<Value> = members.iter().map(|kind| resource(kind)).collect();
            json!({"version": version, "freshness": "Current", "resources": resources})
        })
        .collect();
    let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn resource(kind: &Kind) -> Value {
    let kind_of =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut found = json!({
        "resource": kind.plural, "singularResource": kind.singular,
        "responseKind": kind_of(&kind.group, &kind.version, &kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "verbs": super::verbs(kind),
    });
    if !kind.short.is_empty() {
        found["shortNames"] = kind.short.clone().into();
    }
    if !kind.categories.is_empty() {
        found["categories"] = kind.categories.clone().into();
    }
    let subresources: Vec<Value> = super::subresources(kind)
        .into_iter()
        .map(|(name, [group, version, kind_name], verbs)| {
            let kind = match (group, kind_name) {
                ("", "") => kind_of(&kind.group, &kind.version, &kind.kind),
                ("", name) => kind_of(&kind.group, &kind.version, name),
                (group, name) => kind_of(group, version, name),
            };
            json!({"subresource": name, "responseKind": kind, "verbs": verbs})
        })
        .collect();
    if !subresources.is_empty() {
        found["subresources"] = subresources.into();
    }
    found
}
