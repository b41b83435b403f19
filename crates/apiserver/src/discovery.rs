//! Discovery: one document for each group version, or one aggregated document.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::{Kind, KindSet, priority};

mod aggregated;

/// Verbs of a resource, in the order that Kubernetes lists them.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A discovery document.
pub(crate) struct Document {
    pub(crate) content_type: &'static str,
    pub(crate) body: Value,
}

/// Returns the document of a path below `/api` or `/apis`, or `None` for an unknown path. `/api` and `/apis` are
/// aggregated documents if the client accepts them.
pub(crate) fn document(kinds: &KindSet, path: &[&str], accept: &str) -> Option<Document> {
    if let ([root @ ("api" | "apis")], Some(version)) = (path, aggregated::accepted_version(accept)) {
        return Some(aggregated::document(kinds, version, *root == "api"));
    }
    let body = match path {
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        }),
        ["api", "v1"] => resources(kinds, "", "v1")?,
        ["apis"] => {
            let groups: Vec<Value> =
                groups(kinds).iter().map(|(name, versions)| group(name, versions)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => {
            let groups = groups(kinds);
            let mut found = group(name, groups.get(*name)?);
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            found
        }
        ["apis", name, version] => resources(kinds, name, version)?,
        _ => return None,
    };
    Some(Document { content_type: "application/json", body })
}

/// Returns the document `/version` for a Kubernetes version, for example `v1.35.0`.
pub(crate) fn version(text: &str) -> Value {
    let mut numbers = text.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
    json!({
        "major": major, "minor": minor, "gitVersion": text, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Returns the named groups with their versions, the preferred one first.
fn groups(kinds: &KindSet) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        let versions = groups.entry(kind.group.clone()).or_default();
        if !versions.contains(&kind.version) {
            versions.push(kind.version.clone());
        }
    }
    groups
        .values_mut()
        .for_each(|versions| versions.sort_by_key(|version| std::cmp::Reverse(priority(version))));
    groups
}

fn group(name: &str, versions: &[String]) -> Value {
    let entry = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({
        "name": name,
        "versions": versions.iter().map(entry).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(entry),
    })
}

/// Returns the kinds of one group version, by plural.
fn members<'a>(kinds: &'a KindSet, group: &str, version: &str) -> Vec<&'a Arc<Kind>> {
    kinds.iter().filter(|kind| kind.group == group && kind.version == version).collect()
}

/// Returns the subresources of a kind: name, then group, version and kind of the request body, then verbs.
fn subresources(kind: &Kind) -> Vec<(&'static str, [&'static str; 3], Vec<&'static str>)> {
    let mut found = Vec::new();
    if kind.kind == "Pod" && !kind.is_custom() {
        found.push(("eviction", ["policy", "v1", "Eviction"], vec!["create"]));
        found.push(("log", ["", "", "Pod"], vec!["get"]));
        found.push(("portforward", ["", "", "PodPortForwardOptions"], vec!["create", "get"]));
        found.push((
            "proxy",
            ["", "", "PodProxyOptions"],
            vec!["create", "delete", "get", "patch", "update"],
        ));
    }
    if kind.kind == "Service" && !kind.is_custom() {
        let verbs = vec!["create", "delete", "get", "patch", "update"];
        found.push(("proxy", ["", "", "ServiceProxyOptions"], verbs));
    }
    if kind.scale.is_some() {
        found.push(("scale", ["autoscaling", "v1", "Scale"], vec!["get", "patch", "update"]));
    }
    if kind.kind == "Namespace" && !kind.is_custom() {
        found.push(("finalize", ["", "", "Namespace"], vec!["update"]));
    }
    if kind.status {
        found.push(("status", ["", "", ""], vec!["get", "patch", "update"]));
    }
    found
}

/// Returns the verbs of a kind.
fn verbs(kind: &Kind) -> Vec<&'static str> {
    if kind.is_review {
        return vec!["create"];
    }
    let all = VERBS.iter().copied();
    all.filter(|verb| !(*verb == "deletecollection" && kind.kind == "Namespace" && !kind.is_custom()))
        .collect()
}

fn resources(kinds: &KindSet, group: &str, version: &str) -> Option<Value> {
    let found = members(kinds, group, version);
    let first = found.first()?;
    let mut list = Vec::new();
    for kind in &found {
        let mut entry = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": verbs(kind),
        });
        if !kind.short.is_empty() {
            entry["shortNames"] = kind.short.clone().into();
        }
        if !kind.categories.is_empty() {
            entry["categories"] = kind.categories.clone().into();
        }
        list.push(entry);
        for (name, [group, version, kind_name], verbs) in subresources(kind) {
            let kind_name = if kind_name.is_empty() { &kind.kind } else { kind_name };
            let mut entry = json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind_name, "verbs": verbs,
            });
            if !group.is_empty() {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            list.push(entry);
        }
    }
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(), "resources": list}),
    )
}
