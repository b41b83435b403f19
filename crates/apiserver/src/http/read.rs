//! Get, list and watch requests.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::Response;
use http::header::ACCEPT;
use serde_json::{Value, json};

use super::path::ResourcePath;
use super::{ApiRequest, Body, json_response, json_text_response, stream};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::{Key, Object};
use crate::table::{self, TableOptions};
use crate::write;

pub(super) fn serve(request: &ApiRequest, path: &ResourcePath) -> Result<Response<Body>> {
    let kind = &path.kind;
    if path.name.is_empty() {
        let selector =
            Selector::parse(kind, request.query.get("labelSelector"), request.query.get("fieldSelector"))?;
        return match path.watch || request.query.flag("watch") {
            true => stream::watch(request, path, selector),
            false => list(request, path, &selector),
        };
    }
    if path.watch {
        let selector = Selector::parse(kind, "", &format!("metadata.name={}", path.name))?;
        return stream::watch(request, path, selector);
    }
    let resource = kind.resource();
    let key = Key::new(&path.namespace, &path.name);
    let found = request.core.store.collection(&resource).get(&key);
    let object = found.ok_or_else(|| ApiError::not_found(&resource, &path.name))?;
    if path.subresource == "scale" {
        return Ok(json_response(200, &write::to_scale(kind, &object)));
    }
    if wants_table(request) {
        let options = TableOptions::from_request(request);
        return Ok(json_response(200, &table::table(kind, &[object], &options)));
    }
    Ok(json_text_response(200, json_in_version(kind, &object)))
}

/// Returns whether the client prefers a table printed by the server.
pub(super) fn wants_table(request: &ApiRequest) -> bool {
    let accept = request.header(&ACCEPT);
    let first = accept.split(',').next().unwrap_or_default();
    first.contains("as=Table") && first.contains("g=meta.k8s.io")
}

/// Returns the JSON text of an object in the version of a kind.
pub(super) fn json_in_version(kind: &Kind, object: &Object) -> Bytes {
    if object["apiVersion"] == kind.api_version().as_str() {
        object.json()
    } else {
        Bytes::from(write::patch::in_version(kind, object).to_string())
    }
}

/// Position of the next page of a list.
struct Continue {
    revision: u64,
    after: Key,
}

impl Continue {
    fn text(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": [self.after.namespace, self.after.name]});
        BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("illegal base64 data"))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| bad("not a token"))?;
        let (namespace, name) = (token["start"][0].as_str(), token["start"][1].as_str());
        match (token["rv"].as_u64(), namespace, name) {
            (Some(revision), Some(namespace), Some(name)) => {
                Ok(Self { revision, after: Key::new(namespace, name) })
            }
            _ => Err(bad("incomplete token")),
        }
    }
}

fn list(request: &ApiRequest, path: &ResourcePath, selector: &Selector) -> Result<Response<Body>> {
    let kind = &path.kind;
    let collection = request.core.store.collection(&kind.resource());
    let namespace = Some(path.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let limit = request.query.number("limit")?.filter(|limit| *limit > 0);
    let from = Some(request.query.get("continue"))
        .filter(|text| !text.is_empty())
        .map(Continue::parse)
        .transpose()?;
    let exact = request.query.get("resourceVersionMatch") == "Exact";
    let requested = version(request.query.get("resourceVersion"))?;
    if from.is_some() && requested.is_some_and(|requested| requested > 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let expired = || {
        ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )
    };
    let (objects, revision) = match (&from, requested) {
        (Some(from), _) => (collection.list_at(namespace, from.revision).ok_or_else(expired)?, from.revision),
        (None, Some(requested)) if exact => {
            let old = collection.list_at(namespace, requested);
            (
                old.ok_or_else(|| {
                    ApiError::expired(format!("The provided resource version is too old: {requested}"))
                })?,
                requested,
            )
        }
        (None, requested) => {
            let (objects, revision) = collection.list(namespace);
            if let Some(requested) = requested.filter(|requested| *requested > revision) {
                return Err(too_large(requested, revision));
            }
            (objects, revision)
        }
    };
    let mut selected: Vec<Arc<Object>> =
        objects.into_iter().filter(|object| selector.matches(object)).collect();
    if let Some(from) = &from {
        selected.retain(|object| object.key() > from.after);
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let remaining = selected.len().saturating_sub(limit);
        selected.truncate(limit);
        if let (1.., Some(last)) = (remaining, selected.last()) {
            metadata["continue"] = Continue { revision, after: last.key() }.text().into();
            if selector.is_empty() {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
    }
    if wants_table(request) {
        let mut table = table::table(kind, &selected, &TableOptions::from_request(request));
        table["metadata"] = metadata;
        return Ok(json_response(200, &table));
    }
    Ok(json_text_response(200, list_json(kind, &metadata, &selected)))
}

/// Returns the 504 error for a resource version in the future.
pub(super) fn too_large(requested: u64, current: u64) -> ApiError {
    let mut error =
        ApiError::new(504, "Timeout", format!("Too large resource version: {requested}, current: {current}"));
    error.details = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1});
    error
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

/// Parses a `resourceVersion` query parameter; an empty one is `None`.
pub(super) fn version(text: &str) -> Result<Option<u64>> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            ApiError::bad_request(format!("resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"))
        }),
    }
}
