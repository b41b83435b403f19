//! What is served, told in the old way (a document a group version) and in the new (all in one).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::error::{ApiError, Result};
use crate::http::{Body, Call, answer};
use crate::kinds::{Kind, Set, priority};

mod aggregated;

/// Verbs of a resource, in the order that Kubernetes lists them.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Answers the paths that are no objects.
pub(crate) fn answer_plain(call: &Call, path: &str) -> Result<Response<Body>> {
    let kinds = call.core.kinds.now();
    let path = path.trim_end_matches('/');
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => Ok(answer(200, &version(&call.core.version))),
        ["healthz" | "livez" | "readyz", ..] => Ok(text("ok")),
        ["api" | "apis"] if aggregated::is_asked(call.header(&ACCEPT)) => {
            aggregated::answer(call.header(&ACCEPT), &kinds, parts[0] == "api")
        }
        ["api"] => Ok(answer(
            200,
            &json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
            }),
        )),
        ["api", "v1"] => Ok(answer(200, &resources(&kinds, "", "v1").ok_or_else(ApiError::no_such_path)?)),
        ["apis"] => {
            let groups: Vec<Value> =
                groups(&kinds).iter().map(|(name, versions)| group(name, versions)).collect();
            Ok(answer(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})))
        }
        ["apis", name] => {
            let groups = groups(&kinds);
            let versions = groups.get(*name).ok_or_else(ApiError::no_such_path)?;
            let mut found = group(name, versions);
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            Ok(answer(200, &found))
        }
        ["apis", name, version] => {
            Ok(answer(200, &resources(&kinds, name, version).ok_or_else(ApiError::no_such_path)?))
        }
        ["openapi", rest @ ..] => crate::openapi::answer_path(call, rest),
        [""] => Ok(answer(
            200,
            &json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}),
        )),
        _ => Err(ApiError::no_such_path()),
    }
}

/// As [`answer_plain`], for reading only.
pub(crate) fn answer_get(call: &Call, path: &str) -> Result<Response<Body>> {
    if call.method != Method::GET && call.method != Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    answer_plain(call, path)
}

fn text(words: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(words).map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn version(text: &str) -> Value {
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

/// The named groups with their versions, the preferred one first.
fn groups(kinds: &Set) -> BTreeMap<String, Vec<String>> {
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

/// The kinds of one group version, by plural.
fn members<'a>(kinds: &'a Set, group: &str, version: &str) -> Vec<&'a Arc<Kind>> {
    kinds.iter().filter(|kind| kind.group == group && kind.version == version).collect()
}

/// A kind's subresources: name, group version and kind of what they take, verbs.
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

/// The verbs of a kind itself.
fn verbs(kind: &Kind) -> Vec<&'static str> {
    let all = VERBS.iter().copied();
    all.filter(|verb| !(*verb == "deletecollection" && kind.kind == "Namespace" && !kind.is_custom()))
        .collect()
}

fn resources(kinds: &Set, group: &str, version: &str) -> Option<Value> {
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
        for (name, [group, version, word], verbs) in subresources(kind) {
            let word = if word.is_empty() { &kind.kind } else { word };
            let mut entry = json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": word, "verbs": verbs,
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
