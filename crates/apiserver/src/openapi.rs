//! OpenAPI documents as kubectl needs them for validation, `explain` and apply: types with merge rules, paths with verbs
//! and query parameters. They contain no descriptions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use http::header::ACCEPT;
use serde_json::{Value, json};

use crate::error::{ApiError, Result};
use crate::http::{ApiRequest, Body, json_response, json_text_response};
use crate::kinds::{Kind, KindSet};

mod paths;
mod types;

/// Cached documents, valid until the kinds change.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    documents: Mutex<BTreeMap<String, Bytes>>,
}

impl Cache {
    /// Removes all documents, because the kinds changed.
    pub(crate) fn clear(&self) {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, name: &str, build: impl FnOnce() -> Option<Value>) -> Option<Bytes> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = documents.get(name) {
            return Some(found.clone());
        }
        let document = Bytes::from(build()?.to_string());
        documents.insert(name.to_owned(), document.clone());
        Some(document)
    }
}

/// Responds to a path below `/openapi`.
pub(crate) fn respond(request: &ApiRequest, rest: &[&str]) -> Result<Response<Body>> {
    let kinds = request.core.kinds.current();
    match rest {
        ["v2"] => {
            let accept = request.header(&ACCEPT);
            // A client that accepts only protobuf must not receive JSON with that content type.
            if accept.contains("protobuf") && !accept.contains("json") {
                return Err(ApiError::new(406, "NotAcceptable", "only application/json is served here"));
            }
            let document = request.core.openapi.get("v2", || Some(build_v2(&kinds)));
            Ok(json_text_response(200, document.ok_or_else(ApiError::no_such_path)?))
        }
        ["v3"] => Ok(json_response(200, &index(&kinds))),
        ["v3", "api", "v1"] => group(request, &kinds, "", "v1"),
        ["v3", "apis", name, version] => group(request, &kinds, name, version),
        _ => Err(ApiError::no_such_path()),
    }
}

fn group(request: &ApiRequest, kinds: &KindSet, group: &str, version: &str) -> Result<Response<Body>> {
    let document =
        request.core.openapi.get(&format!("{group}/{version}"), || build_v3(kinds, group, version));
    Ok(json_text_response(200, document.ok_or_else(ApiError::no_such_path)?))
}

fn index(kinds: &KindSet) -> Value {
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

fn members(kinds: &KindSet, group: &str, version: &str) -> Vec<Arc<Kind>> {
    kinds.iter().filter(|kind| kind.group == group && kind.version == version).cloned().collect()
}

fn build_v3(kinds: &KindSet, group: &str, version: &str) -> Option<Value> {
    let members = members(kinds, group, version);
    if members.is_empty() {
        return None;
    }
    let mut schemas = types::Schemas::new("#/components/schemas/");
    let mut all = serde_json::Map::new();
    for kind in &members {
        let name = schemas.add_kind(kind);
        paths::add(kind, &name, true, &mut all);
    }
    Some(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.35.0"}, "paths": all,
        "components": {"schemas": schemas.into_value()},
    }))
}

fn build_v2(kinds: &KindSet) -> Value {
    let mut schemas = types::Schemas::new("#/definitions/");
    let mut all = serde_json::Map::new();
    for kind in kinds.iter() {
        let name = schemas.add_kind(kind);
        paths::add(kind, &name, false, &mut all);
    }
    json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.35.0"}, "paths": all,
        "definitions": schemas.into_value(),
    })
}
