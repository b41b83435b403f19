//! OpenAPI documents as kubectl needs them for validation, `explain` and apply: types with merge rules, paths with verbs
//! and query parameters. They contain no descriptions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::kinds::{Kind, KindSet};

mod paths;
pub(crate) mod protobuf;
mod types;

/// Cached documents.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    documents: Mutex<Documents>,
}

/// The documents of one set of kinds.
#[derive(Debug, Default)]
struct Documents {
    kinds: Option<Arc<KindSet>>,
    texts: BTreeMap<String, Bytes>,
}

impl Cache {
    /// Returns the OpenAPI 2 document in protobuf.
    pub(crate) fn protobuf(&self, kinds: &Arc<KindSet>) -> Option<Bytes> {
        self.get(kinds, &["v2", "protobuf"], || Some(Bytes::from(protobuf::document(&build_v2(kinds)))))
    }

    /// Returns the document of a path below `/openapi` as JSON, or `None` for an unknown path.
    pub(crate) fn document(&self, kinds: &Arc<KindSet>, path: &[&str]) -> Option<Bytes> {
        let (group, version) = match path {
            ["v2"] => return self.get(kinds, path, || Some(text(&build_v2(kinds)))),
            ["v3"] => return self.get(kinds, path, || Some(text(&index(kinds)))),
            ["v3", "api", "v1"] => ("", "v1"),
            ["v3", "apis", group, version] => (*group, *version),
            _ => return None,
        };
        self.get(kinds, path, || build_v3(kinds, group, version).as_ref().map(text))
    }

    /// Returns a cached document or builds it. Documents of other kinds are removed.
    fn get(
        &self,
        kinds: &Arc<KindSet>,
        path: &[&str],
        build: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if !documents.kinds.as_ref().is_some_and(|cached| Arc::ptr_eq(cached, kinds)) {
            *documents = Documents { kinds: Some(kinds.clone()), texts: BTreeMap::new() };
        }
        let path = path.join("/");
        if let Some(text) = documents.texts.get(&path) {
            return Some(text.clone());
        }
        let text = build()?;
        documents.texts.insert(path, text.clone());
        Some(text)
    }
}

fn text(document: &Value) -> Bytes {
    Bytes::from(document.to_string())
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
