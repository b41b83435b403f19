//! Get, list and watch.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::Response;
use http::header::ACCEPT;
use serde_json::{Value, json};

use super::path::Target;
use super::{Body, Call, answer, answer_bytes, stream};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::{Key, Object};
use crate::{table, write};

pub(super) fn serve(call: &Call, target: &Target) -> Result<Response<Body>> {
    let kind = &target.kind;
    if target.name.is_empty() {
        let selector =
            Selector::parse(kind, call.query.get("labelSelector"), call.query.get("fieldSelector"))?;
        return match target.watch || call.query.flag("watch") {
            true => stream::watch(call, target, selector),
            false => list(call, target, &selector),
        };
    }
    if target.watch {
        let selector = Selector::parse(kind, "", &format!("metadata.name={}", target.name))?;
        return stream::watch(call, target, selector);
    }
    let resource = kind.resource();
    let key = Key::new(&target.namespace, &target.name);
    let found = call.core.store.collection(&resource).get(&key);
    let object = found.ok_or_else(|| ApiError::not_found(&resource, &target.name))?;
    if target.subresource == "scale" {
        return Ok(answer(200, &write::scale_of(kind, &object)));
    }
    if wants_table(call) {
        let form = table::Form::of(call);
        return Ok(answer(200, &table::table(kind, &[object], &form)));
    }
    Ok(answer_bytes(200, bytes_of(kind, &object)))
}

/// Whether the client asked for a server-printed table.
pub(super) fn wants_table(call: &Call) -> bool {
    let accept = call.header(&ACCEPT);
    let first = accept.split(',').next().unwrap_or_default();
    first.contains("as=Table") && first.contains("g=meta.k8s.io")
}

/// An object's JSON text in a kind's version.
pub(super) fn bytes_of(kind: &Kind, object: &Object) -> Bytes {
    if object["apiVersion"] == kind.api_version().as_str() {
        object.json()
    } else {
        Bytes::from(write::patch::in_version(kind, object).to_string())
    }
}

/// Where the next page of a list begins.
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

fn list(call: &Call, target: &Target, selector: &Selector) -> Result<Response<Body>> {
    let kind = &target.kind;
    let collection = call.core.store.collection(&kind.resource());
    let namespace = Some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
    let from =
        Some(call.query.get("continue")).filter(|text| !text.is_empty()).map(Continue::parse).transpose()?;
    let exact = call.query.get("resourceVersionMatch") == "Exact";
    let asked = version(call.query.get("resourceVersion"))?;
    if from.is_some() && asked.is_some_and(|asked| asked > 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let gone = || {
        ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )
    };
    let (objects, revision) = match (&from, asked) {
        (Some(from), _) => (collection.list_at(namespace, from.revision).ok_or_else(gone)?, from.revision),
        (None, Some(asked)) if exact => {
            let old = collection.list_at(namespace, asked);
            (
                old.ok_or_else(|| {
                    ApiError::expired(format!("The provided resource version is too old: {asked}"))
                })?,
                asked,
            )
        }
        (None, asked) => {
            let (objects, revision) = collection.list(namespace);
            if let Some(asked) = asked.filter(|asked| *asked > revision) {
                return Err(too_large(asked, revision));
            }
            (objects, revision)
        }
    };
    let mut picked: Vec<Arc<Object>> =
        objects.into_iter().filter(|object| selector.matches(object)).collect();
    if let Some(from) = &from {
        picked.retain(|object| object.key() > from.after);
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let remaining = picked.len().saturating_sub(limit);
        picked.truncate(limit);
        if let (1.., Some(last)) = (remaining, picked.last()) {
            metadata["continue"] = Continue { revision, after: last.key() }.text().into();
            if selector.is_empty() {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
    }
    if wants_table(call) {
        let mut table = table::table(kind, &picked, &table::Form::of(call));
        table["metadata"] = metadata;
        return Ok(answer(200, &table));
    }
    Ok(answer_bytes(200, joined(kind, &metadata, &picked)))
}

/// The 504 for a version that is not there yet.
pub(super) fn too_large(asked: u64, current: u64) -> ApiError {
    let mut error =
        ApiError::new(504, "Timeout", format!("Too large resource version: {asked}, current: {current}"));
    error.details = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1});
    error
}

/// A list's text out of its objects' texts.
fn joined(kind: &Kind, metadata: &Value, objects: &[Arc<Object>]) -> Bytes {
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
        text.put_slice(&bytes_of(kind, object));
    }
    text.put_slice(b"]}");
    text.freeze()
}

/// A resourceVersion of a query; empty is none.
pub(super) fn version(text: &str) -> Result<Option<u64>> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            ApiError::bad_request(format!("resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"))
        }),
    }
}
