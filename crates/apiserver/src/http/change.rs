//! Create, update, patch, delete.

use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use serde_json::{Value, json};

use super::path::Target;
use super::{Body, Call, answer, answer_bytes, body, read};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{DeleteOptions, FieldValidation, Propagation, WriteOptions};
use crate::selector::Selector;
use crate::store::Key;
use crate::table;
use crate::write::{self, Patch, Written};

pub(super) async fn serve(call: &Call, target: &Target, bytes: Bytes) -> Result<Response<Body>> {
    let key = Key::new(&target.namespace, &target.name);
    match call.method {
        Method::POST
            if target.name.is_empty() && (!target.namespace.is_empty() || !target.kind.namespaced) =>
        {
            create(call, target, &bytes).await
        }
        Method::PUT if !target.name.is_empty() => update(call, target, &key, &bytes).await,
        Method::PATCH if !target.name.is_empty() => patch(call, target, &key, &bytes).await,
        Method::DELETE if target.name.is_empty() => delete_all(call, target, &bytes).await,
        Method::DELETE if target.subresource.is_empty() => delete(call, target, &key, &bytes).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Fields named twice, where the client wants to know.
fn repeated(call: &Call, bytes: &Bytes, options: &WriteOptions) -> Vec<String> {
    let json = matches!(body::media_type(&call.headers), "" | "application/json");
    if json && options.validation != FieldValidation::Ignore {
        super::repeated::find(bytes)
    } else {
        Vec::new()
    }
}

fn own_type(kind: &Kind) -> Option<&crate::schema::Ty> {
    (!kind.is_custom()).then_some(&kind.ty)
}

async fn create(call: &Call, target: &Target, bytes: &Bytes) -> Result<Response<Body>> {
    let value = body::object(&call.headers, bytes, &target.kind.kind, own_type(&target.kind))?;
    let mut options = call.query.write_options(call.manager())?;
    options.repeated = repeated(call, bytes, &options);
    let written = call.core.create(&target.kind, &target.namespace, value, &options).await?;
    Ok(answer_written(call, &target.kind, &written))
}

async fn update(call: &Call, target: &Target, key: &Key, bytes: &Bytes) -> Result<Response<Body>> {
    let mut options = call.query.write_options(call.manager())?;
    if target.subresource == "scale" {
        let scale = body::object(
            &call.headers,
            bytes,
            "Scale",
            Some(&crate::schema::builtin("autoscaling.v1.Scale")),
        )?;
        let written = call.core.rescale(&target.kind, key, &options, |_| Ok(scale.clone())).await?;
        return Ok(answer(200, &write::scale_of(&target.kind, &written.object)));
    }
    let value = body::object(&call.headers, bytes, &target.kind.kind, own_type(&target.kind))?;
    options.repeated = repeated(call, bytes, &options);
    let written = call.core.update(&target.kind, key, &target.subresource, value, &options).await?;
    Ok(answer_written(call, &target.kind, &written))
}

async fn patch(call: &Call, target: &Target, key: &Key, bytes: &Bytes) -> Result<Response<Body>> {
    let patch = match body::media_type(&call.headers) {
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
        Patch::Apply(_) => call.query.get("fieldManager").to_owned(),
        _ => call.manager(),
    };
    let options = call.query.write_options(manager)?;
    let written = call.core.patch(&target.kind, key, &target.subresource, &patch, &options).await?;
    if target.subresource == "scale" {
        return Ok(answer(200, &write::scale_of(&target.kind, &written.object)));
    }
    Ok(answer_written(call, &target.kind, &written))
}

fn delete_options(call: &Call, bytes: &Bytes) -> Result<DeleteOptions> {
    let mut options = call.query.delete_options()?;
    if bytes.is_empty() {
        return Ok(options);
    }
    let body = body::object(
        &call.headers,
        bytes,
        "DeleteOptions",
        Some(&crate::schema::builtin("meta.v1.DeleteOptions")),
    )?;
    options.dry_run |= crate::value::items(&body["dryRun"]).any(|word| word == "All");
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

async fn delete(call: &Call, target: &Target, key: &Key, bytes: &Bytes) -> Result<Response<Body>> {
    let kind = &target.kind;
    let deleted = call.core.delete(kind, key, &delete_options(call, bytes)?).await?;
    if !deleted.gone || returns_object(kind) {
        return Ok(answer_bytes(200, read::bytes_of(kind, &deleted.object)));
    }
    let mut details =
        json!({"name": key.name, "kind": kind.plural, "uid": deleted.object["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = kind.group.clone().into();
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(answer(200, &status))
}

/// Kinds whose deletion answers with the object rather than with a Status.
fn returns_object(kind: &Kind) -> bool {
    !kind.is_custom() && matches!(kind.kind.as_str(), "Pod" | "Service" | "ServiceAccount" | "Node")
}

async fn delete_all(call: &Call, target: &Target, bytes: &Bytes) -> Result<Response<Body>> {
    let kind = &target.kind;
    if (kind.namespaced && target.namespace.is_empty()) || kind.kind == "Namespace" {
        return Err(ApiError::method_not_allowed());
    }
    let options = delete_options(call, bytes)?;
    let selector = Selector::parse(kind, call.query.get("labelSelector"), call.query.get("fieldSelector"))?;
    let namespace = Some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let (objects, revision) = call.core.store.collection(&kind.resource()).list(namespace);
    let mut gone = Vec::new();
    for object in objects.iter().filter(|object| selector.matches(object)) {
        match call.core.delete(kind, &object.key(), &options).await {
            Ok(deleted) => gone.push(write::patch::in_version(kind, &deleted.object)),
            Err(error) if error.reason == "NotFound" => {}
            Err(error) => return Err(error),
        }
    }
    let list = json!({
        "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}, "items": gone,
    });
    Ok(answer(200, &list))
}

fn answer_written(call: &Call, kind: &Kind, written: &Written) -> Response<Body> {
    let code = if written.created { 201 } else { 200 };
    let mut response = if read::wants_table(call) {
        answer(code, &table::table(kind, std::slice::from_ref(&written.object), &table::Form::of(call)))
    } else {
        answer_bytes(code, read::bytes_of(kind, &written.object))
    };
    for warning in &written.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}
