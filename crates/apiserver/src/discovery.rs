//! Discovery: one document for each group version, or one aggregated document.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::error::{ApiError, Result};
use crate::http::{ApiRequest, Body, json_response};
use crate::kinds::{Kind, KindSet, priority};

mod aggregated;

/// Verbs of a resource, in the order that Kubernetes lists them.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Responds to a path that is not a resource: discovery, health, version, OpenAPI.
pub(crate) fn respond(request: &ApiRequest, path: &str) -> Result<Response<Body>> {
    let kinds = request.core.kinds.current();
    let path = path.trim_end_matches('/');
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => Ok(json_response(200, &version(&request.core.version))),
        ["healthz" | "livez" | "readyz", ..] => Ok(text("ok")),
        ["api" | "apis"] if aggregated::is_accepted(request.header(&ACCEPT)) => {
            aggregated::respond(request.header(&ACCEPT), &kinds, parts[0] == "api")
        }
        ["api"] => Ok(json_response(
            200,
            &json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
            }),
        )),
        ["api", "v1"] => {
            Ok(json_response(200, &resources(&kinds, "", "v1").ok_or_else(ApiError::no_such_path)?))
        }
        ["apis"] => {
            let groups: Vec<Value> =
                groups(&kinds).iter().map(|(name, versions)| group(name, versions)).collect();
            Ok(json_response(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})))
        }
        ["apis", name] => {
            let groups = groups(&kinds);
            let versions = groups.get(*name).ok_or_else(ApiError::no_such_path)?;
            let mut found = group(name, versions);
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            Ok(json_response(200, &found))
        }
        ["apis", name, version] => {
            Ok(json_response(200, &resources(&kinds, name, version).ok_or_else(ApiError::no_such_path)?))
        }
        ["openapi", rest @ ..] => crate::openapi::respond(request, rest),
        [""] => Ok(json_response(
            200,
            &json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}),
        )),
        _ => Err(ApiError::no_such_path()),
    }
}

/// Responds like [`respond`], to GET and HEAD requests only.
pub(crate) fn respond_to_get(request: &ApiRequest, path: &str) -> Result<Response<Body>> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    respond(request, path)
}

fn text(body: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync());
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
