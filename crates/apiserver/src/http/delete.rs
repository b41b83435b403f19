//! Delete requests.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::body;
use super::path::ResourcePath;
use super::representation;
use super::request::ApiRequest;
use super::response::{self, Body};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, Propagation};
use crate::schema::builtin;
use crate::store::Key;
use crate::value::items;

/// Deletes an object.
pub(super) async fn delete(
    request: &ApiRequest,
    path: &ResourcePath,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let kind = &path.kind;
    let key = Key::new(&path.namespace, &path.name);
    let deleted = request.state.writer().delete(kind, &key, &delete_options(request, bytes)?).await?;
    if !deleted.removed || returns_object(kind) {
        return Ok(representation::object(&request.form(false)?, kind, 200, &deleted.object));
    }
    let mut details =
        json!({"name": key.name, "kind": kind.plural, "uid": deleted.object["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = kind.group.clone().into();
    }
    let mut status = response::success_status();
    status["details"] = details;
    Ok(response::json(200, &status))
}

/// Deletes the selected objects of a collection.
pub(super) async fn delete_collection(
    request: &ApiRequest,
    path: &ResourcePath,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let kind = &path.kind;
    if (kind.namespaced && path.namespace.is_empty()) || kind.kind == "Namespace" {
        return Err(ApiError::method_not_allowed());
    }
    let options = delete_options(request, bytes)?;
    let selector = request.selector(kind)?;
    let collection = request.state.store.collection(&kind.collection());
    let (objects, revision) = collection.list(path.selected_namespace());
    let mut deleted_objects = Vec::new();
    for object in objects.iter().filter(|object| selector.matches(object)) {
        match request.state.writer().delete(kind, &object.key(), &options).await {
            Ok(deleted) => deleted_objects.push(kind.in_version(&deleted.object)),
            Err(error) if error.reason == "NotFound" => {}
            Err(error) => return Err(error),
        }
    }
    let list = json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}, "items": deleted_objects,
    });
    Ok(response::json(200, &list))
}

/// Returns the options in the query and in the body.
fn delete_options(request: &ApiRequest, bytes: &Bytes) -> Result<DeleteOptions> {
    let mut options = request.query.delete_options()?;
    if bytes.is_empty() {
        return Ok(options);
    }
    let ty = builtin("meta.v1.DeleteOptions");
    let body = body::object(&request.headers, bytes, "DeleteOptions", Some(&ty))?;
    add_options(&mut options, &body)?;
    Ok(options)
}

/// Adds the options in a `DeleteOptions` object, which override those in the query.
pub(super) fn add_options(options: &mut DeleteOptions, body: &Value) -> Result<()> {
    options.dry_run |= items(&body["dryRun"]).any(|value| value == "All");
    options.grace_seconds = body["gracePeriodSeconds"].as_i64().or(options.grace_seconds);
    if let Some(text) = body["propagationPolicy"].as_str() {
        options.propagation = Some(Propagation::parse(text)?);
    } else if body["orphanDependents"] == true {
        options.propagation = Some(Propagation::Orphan);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    options.uid = text(&body["preconditions"]["uid"]);
    options.resource_version = text(&body["preconditions"]["resourceVersion"]);
    Ok(())
}

/// Returns whether a delete request of this kind returns the object instead of a Status.
fn returns_object(kind: &Kind) -> bool {
    !kind.is_custom() && matches!(kind.kind.as_str(), "Pod" | "Service" | "ServiceAccount" | "Node")
}
