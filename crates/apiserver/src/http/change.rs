//! Create, update, patch and delete requests.

use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use serde_json::{Value, json};

use super::path::ResourcePath;
use super::{ApiRequest, Body, body, json_response, json_text_response, read};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, FieldValidation, Propagation, WriteOptions};
use crate::selector::Selector;
use crate::store::Key;
use crate::table::{self, TableOptions};
use crate::write::{self, Patch, WriteResult};

pub(super) async fn serve(request: &ApiRequest, path: &ResourcePath, bytes: Bytes) -> Result<Response<Body>> {
    let key = Key::new(&path.namespace, &path.name);
    match request.method {
        Method::POST if path.name.is_empty() && (!path.namespace.is_empty() || !path.kind.namespaced) => {
            create(request, path, &bytes).await
        }
        Method::PUT if !path.name.is_empty() => update(request, path, &key, &bytes).await,
        Method::PATCH if !path.name.is_empty() => patch(request, path, &key, &bytes).await,
        Method::DELETE if path.name.is_empty() => delete_all(request, path, &bytes).await,
        Method::DELETE if path.subresource.is_empty() => delete(request, path, &key, &bytes).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Returns the paths of duplicate fields, unless the client ignores them.
fn duplicate_fields(request: &ApiRequest, bytes: &Bytes, options: &WriteOptions) -> Vec<String> {
    let json = matches!(body::media_type(&request.headers), "" | "application/json");
    if json && options.validation != FieldValidation::Ignore {
        super::duplicate_fields::find(bytes)
    } else {
        Vec::new()
    }
}

fn own_type(kind: &Kind) -> Option<&crate::schema::Ty> {
    (!kind.is_custom()).then_some(&kind.ty)
}

async fn create(request: &ApiRequest, path: &ResourcePath, bytes: &Bytes) -> Result<Response<Body>> {
    let value = body::object(&request.headers, bytes, &path.kind.kind, own_type(&path.kind))?;
    let mut options = request.query.write_options(request.manager())?;
    options.duplicate_fields = duplicate_fields(request, bytes, &options);
    let written = request.core.create(&path.kind, &path.namespace, value, &options).await?;
    Ok(write_response(request, &path.kind, &written))
}

async fn update(
    request: &ApiRequest,
    path: &ResourcePath,
    key: &Key,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let mut options = request.query.write_options(request.manager())?;
    if path.subresource == "scale" {
        let scale = body::object(
            &request.headers,
            bytes,
            "Scale",
            Some(&crate::schema::builtin("autoscaling.v1.Scale")),
        )?;
        let written = request.core.rescale(&path.kind, key, &options, |_| Ok(scale.clone())).await?;
        return Ok(json_response(200, &write::to_scale(&path.kind, &written.object)));
    }
    let value = body::object(&request.headers, bytes, &path.kind.kind, own_type(&path.kind))?;
    options.duplicate_fields = duplicate_fields(request, bytes, &options);
    let written = request.core.update(&path.kind, key, &path.subresource, value, &options).await?;
    Ok(write_response(request, &path.kind, &written))
}

async fn patch(
    request: &ApiRequest,
    path: &ResourcePath,
    key: &Key,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let patch = match body::media_type(&request.headers) {
        "application/json-patch+json" => Patch::Json(body::json(bytes)?),
        "application/merge-patch+json" => Patch::Merge(body::json(bytes)?),
        "application/strategic-merge-patch+json" => Patch::Strategic(body::json(bytes)?),
        "application/apply-patch+yaml" => Patch::Apply(body::yaml(bytes)?),
        _ => {
            let message = "the body of the request was in an unknown format - accepted media types include: \
                           application/json-patch+json, application/merge-patch+json, \
                           application/strategic-merge-patch+json, application/apply-patch+yaml";
            return Err(ApiError::new(415, "UnsupportedMediaType", message));
        }
    };
    let manager = match patch {
        Patch::Apply(_) => request.query.get("fieldManager").to_owned(),
        _ => request.manager(),
    };
    let options = request.query.write_options(manager)?;
    let written = request.core.patch(&path.kind, key, &path.subresource, &patch, &options).await?;
    if path.subresource == "scale" {
        return Ok(json_response(200, &write::to_scale(&path.kind, &written.object)));
    }
    Ok(write_response(request, &path.kind, &written))
}

fn delete_options(request: &ApiRequest, bytes: &Bytes) -> Result<DeleteOptions> {
    let mut options = request.query.delete_options()?;
    if bytes.is_empty() {
        return Ok(options);
    }
    let body = body::object(
        &request.headers,
        bytes,
        "DeleteOptions",
        Some(&crate::schema::builtin("meta.v1.DeleteOptions")),
    )?;
    options.dry_run |= crate::value::items(&body["dryRun"]).any(|value| value == "All");
    options.grace_seconds = body["gracePeriodSeconds"].as_i64().or(options.grace_seconds);
    if let Some(text) = body["propagationPolicy"].as_str() {
        options.propagation = Some(Propagation::parse(text)?);
    } else if body["orphanDependents"] == true {
        options.propagation = Some(Propagation::Orphan);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    options.uid = text(&body["preconditions"]["uid"]);
    options.resource_version = text(&body["preconditions"]["resourceVersion"]);
    Ok(options)
}

async fn delete(
    request: &ApiRequest,
    path: &ResourcePath,
    key: &Key,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let kind = &path.kind;
    let deleted = request.core.delete(kind, key, &delete_options(request, bytes)?).await?;
    if !deleted.removed || returns_object(kind) {
        return Ok(json_text_response(200, read::json_in_version(kind, &deleted.object)));
    }
    let mut details =
        json!({"name": key.name, "kind": kind.plural, "uid": deleted.object["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = kind.group.clone().into();
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(json_response(200, &status))
}

/// Returns whether a delete request of this kind returns the object instead of a Status.
fn returns_object(kind: &Kind) -> bool {
    !kind.is_custom() && matches!(kind.kind.as_str(), "Pod" | "Service" | "ServiceAccount" | "Node")
}

async fn delete_all(request: &ApiRequest, path: &ResourcePath, bytes: &Bytes) -> Result<Response<Body>> {
    let kind = &path.kind;
    if (kind.namespaced && path.namespace.is_empty()) || kind.kind == "Namespace" {
        return Err(ApiError::method_not_allowed());
    }
    let options = delete_options(request, bytes)?;
    let selector =
        Selector::parse(kind, request.query.get("labelSelector"), request.query.get("fieldSelector"))?;
    let namespace = Some(path.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let (objects, revision) = request.core.store.collection(&kind.resource()).list(namespace);
    let mut deleted_objects = Vec::new();
    for object in objects.iter().filter(|object| selector.matches(object)) {
        match request.core.delete(kind, &object.key(), &options).await {
            Ok(deleted) => deleted_objects.push(write::patch::in_version(kind, &deleted.object)),
            Err(error) if error.reason == "NotFound" => {}
            Err(error) => return Err(error),
        }
    }
    let list = json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}, "items": deleted_objects,
    });
    Ok(json_response(200, &list))
}

fn write_response(request: &ApiRequest, kind: &Kind, written: &WriteResult) -> Response<Body> {
    let code = if written.created { 201 } else { 200 };
    let mut response = if read::wants_table(request) {
        json_response(
            code,
            &table::table(kind, std::slice::from_ref(&written.object), &TableOptions::from_request(request)),
        )
    } else {
        json_text_response(code, read::json_in_version(kind, &written.object))
    };
    for warning in &written.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}
