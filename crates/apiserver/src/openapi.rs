//! OpenAPI, as far as kubectl's validation, `explain` and apply ask for it: the types with their merge rules, the
//! paths with their verbs and query parameters. Descriptions are left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use http::header::ACCEPT;
use serde_json::{Value, json};

use crate::error::{ApiError, Result};
use crate::http::{Body, Call, answer, answer_bytes};
use crate::kinds::{Kind, Set};

mod paths;
mod types;

/// Documents made once and kept until the kinds change.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    documents: Mutex<BTreeMap<String, Bytes>>,
}

impl Cache {
    /// The kinds changed.
    pub(crate) fn forget(&self) {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, name: &str, make: impl FnOnce() -> Option<Value>) -> Option<Bytes> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = documents.get(name) {
            return Some(found.clone());
        }
        let made = Bytes::from(make()?.to_string());
        documents.insert(name.to_owned(), made.clone());
        Some(made)
    }
}

/// Answers a path below `/openapi`.
pub(crate) fn answer_path(call: &Call, rest: &[&str]) -> Result<Response<Body>> {
    let kinds = call.core.kinds.now();
    match rest {
        ["v2"] => {
            let accept = call.header(&ACCEPT);
            // A client that takes protobuf only must not be given JSON under that name.
            if accept.contains("protobuf") && !accept.contains("json") {
                return Err(ApiError::new(406, "NotAcceptable", "only application/json is served here"));
            }
            let whole = call.core.openapi.get("v2", || Some(version_two(&kinds)));
            Ok(answer_bytes(200, whole.ok_or_else(ApiError::no_such_path)?))
        }
        ["v3"] => Ok(answer(200, &index(&kinds))),
        ["v3", "api", "v1"] => group(call, &kinds, "", "v1"),
        ["v3", "apis", name, version] => group(call, &kinds, name, version),
        _ => Err(ApiError::no_such_path()),
    }
}

fn group(call: &Call, kinds: &Set, group: &str, version: &str) -> Result<Response<Body>> {
    let document =
        call.core.openapi.get(&format!("{group}/{version}"), || version_three(kinds, group, version));
    Ok(answer_bytes(200, document.ok_or_else(ApiError::no_such_path)?))
}

fn index(kinds: &Set) -> Value {
    let mut paths = serde_json::Map::new();
    for kind in kinds.iter() {
        let path = if kind.group.is_empty() {
            format!("api/{}", kind.version)
        } else {
            format!("apis/{}", kind.api_version())
        };
        paths
            .entry(path.clone())
            .or_insert_with(|| json!({"serverRelativeURL": format!("/openapi/v3/{path}")}));
    }
    json!({"paths": paths})
}

fn members(kinds: &Set, group: &str, version: &str) -> Vec<Arc<Kind>> {
    kinds.iter().filter(|kind| kind.group == group && kind.version == version).cloned().collect()
}

fn version_three(kinds: &Set, group: &str, version: &str) -> Option<Value> {
    let members = members(kinds, group, version);
    if members.is_empty() {
        return None;
    }
    let mut schemas = types::Schemas::new("#/components/schemas/");
    let mut all = serde_json::Map::new();
    for kind in &members {
        let name = schemas.kind(kind);
        paths::of(kind, &name, true, &mut all);
    }
    Some(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.35.0"}, "paths": all,
        "components": {"schemas": schemas.into_value()},
    }))
}

fn version_two(kinds: &Set) -> Value {
    let mut schemas = types::Schemas::new("#/definitions/");
    let mut all = serde_json::Map::new();
    for kind in kinds.iter() {
        let name = schemas.kind(kind);
        paths::of(kind, &name, false, &mut all);
    }
    json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.35.0"}, "paths": all,
        "definitions": schemas.into_value(),
    })
}
