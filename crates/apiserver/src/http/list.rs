//! List requests.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::Response;
use serde_json::{Value, json};

use super::accept::Form;
use super::continue_token::ContinueToken;
use super::path::ResourcePath;
use super::representation::{self, json_in_version};
use super::request::ApiRequest;
use super::response::{self, Body};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::store::Object;
use crate::table::table;

/// Returns the selected objects of a collection, or a page of them.
pub(super) fn list(request: &ApiRequest, path: &ResourcePath) -> Result<Response<Body>> {
    let kind = &path.kind;
    let form = request.form(true)?;
    let selector = request.selector(kind)?;
    let limit = request.query.number("limit")?.filter(|limit| *limit > 0);
    let token = ContinueToken::parse(request.query.get("continue"))?;
    let (mut objects, revision) = read(request, path, token.as_ref())?;
    objects.retain(|object| selector.matches(object));
    if let Some(token) = &token {
        objects.retain(|object| object.key() > token.after);
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let remaining = objects.len().saturating_sub(limit);
        objects.truncate(limit);
        if let (1.., Some(last)) = (remaining, objects.last()) {
            metadata["continue"] = ContinueToken { revision, after: last.key() }.to_text().into();
            if selector.is_empty() {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
    }
    match form {
        Form::Table(options) => {
            let mut table = table(kind, &objects, &options);
            table["metadata"] = metadata;
            Ok(response::json(200, &table))
        }
        Form::Metadata(version) => {
            let items: Vec<Value> =
                objects.iter().map(|object| representation::metadata(version, object)).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata, "items": items,
            });
            Ok(response::json(200, &list))
        }
        Form::Objects => Ok(response::json_text(200, list_json(kind, &metadata, &objects))),
    }
}

/// Returns all objects of a collection at the requested revision, and that revision.
fn read(
    request: &ApiRequest,
    path: &ResourcePath,
    token: Option<&ContinueToken>,
) -> Result<(Vec<Arc<Object>>, u64)> {
    let collection = request.state.store.collection(&path.kind.collection());
    let namespace = path.selected_namespace();
    let exact = request.query.get("resourceVersionMatch") == "Exact";
    let requested = request.query.resource_version()?;
    if let Some(token) = token {
        if requested.is_some_and(|requested| requested > 0) {
            let message = "specifying resource version is not allowed when using continue";
            return Err(ApiError::bad_request(message));
        }
        let objects = collection.list_at(namespace, token.revision);
        return Ok((objects.ok_or_else(ApiError::continue_expired)?, token.revision));
    }
    if let Some(requested) = requested.filter(|_| exact) {
        let expired = || ApiError::expired(format!("The provided resource version is too old: {requested}"));
        return Ok((collection.list_at(namespace, requested).ok_or_else(expired)?, requested));
    }
    let (objects, revision) = collection.list(namespace);
    match requested {
        Some(requested) if requested > revision => {
            Err(ApiError::resource_version_too_large(requested, revision))
        }
        _ => Ok((objects, revision)),
    }
}

/// Builds the JSON text of a list from the JSON texts of its objects.
fn list_json(kind: &Kind, metadata: &Value, objects: &[Arc<Object>]) -> Bytes {
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        kind.kind,
        kind.api_version()
    );
    let mut text = BytesMut::from(head.as_bytes());
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        text.put_slice(&json_in_version(kind, object));
    }
    text.put_slice(b"]}");
    text.freeze()
}
