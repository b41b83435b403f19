//! Create, update and patch requests.

use bytes::Bytes;
use http::Response;

use super::path::ResourcePath;
use super::request::ApiRequest;
use super::response::{self, Body};
use super::{body, duplicate_fields, representation};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::patch::json::unknown_fields;
use crate::schema::{Ty, builtin};
use crate::store::Key;
use crate::write::{Patch, WriteResult, to_scale};

/// Creates an object.
pub(super) async fn create(
    request: &ApiRequest,
    path: &ResourcePath,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let kind = &path.kind;
    let value = body::object(&request.headers, bytes, &kind.kind, protobuf_type(kind))?;
    let mut options = request.query.write_options(request.manager())?;
    options.strict_errors = duplicate_fields(request, bytes);
    let written = request.state.writer().create(kind, &path.namespace, value, &options).await?;
    respond(request, path, &written)
}

/// Replaces an object or a subresource.
pub(super) async fn update(
    request: &ApiRequest,
    path: &ResourcePath,
    bytes: &Bytes,
) -> Result<Response<Body>> {
    let kind = &path.kind;
    let key = Key::new(&path.namespace, &path.name);
    let mut options = request.query.write_options(request.manager())?;
    if path.subresource == "scale" {
        let ty = builtin("autoscaling.v1.Scale");
        let scale = body::object(&request.headers, bytes, "Scale", Some(&ty))?;
        let written = request.state.writer().rescale(kind, &key, &options, |_| Ok(scale.clone())).await?;
        return respond(request, path, &written);
    }
    let value = body::object(&request.headers, bytes, &kind.kind, protobuf_type(kind))?;
    options.strict_errors = duplicate_fields(request, bytes);
    let written = request.state.writer().update(kind, &key, &path.subresource, value, &options).await?;
    respond(request, path, &written)
}

/// Patches an object or a subresource.
pub(super) async fn patch(
    request: &ApiRequest,
    path: &ResourcePath,
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
    let mut options = request.query.write_options(manager)?;
    options.strict_errors = patch_errors(&patch, bytes);
    let key = Key::new(&path.namespace, &path.name);
    let written = request.state.writer().patch(&path.kind, &key, &path.subresource, &patch, &options).await?;
    respond(request, path, &written)
}

/// Returns messages about duplicate fields in a JSON body.
fn duplicate_fields(request: &ApiRequest, bytes: &Bytes) -> Vec<String> {
    let is_json = matches!(body::media_type(&request.headers), "" | "application/json");
    if is_json { messages("duplicate", &duplicate_fields::find(bytes)) } else { Vec::new() }
}

/// Returns messages about duplicate and unknown fields in a patch document.
fn patch_errors(patch: &Patch, bytes: &Bytes) -> Vec<String> {
    match patch {
        Patch::Json(patch) => {
            let mut errors = messages("json patch unknown", &unknown_fields(patch));
            errors.extend(messages("json patch duplicate", &duplicate_fields::find(bytes)));
            errors
        }
        Patch::Merge(_) | Patch::Strategic(_) => messages("duplicate", &duplicate_fields::find(bytes)),
        Patch::Apply(_) => Vec::new(),
    }
}

fn messages(kind: &str, paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| format!("{kind} field \"{path}\"")).collect()
}

/// Returns the type for decoding protobuf: only built-in kinds have field numbers.
fn protobuf_type(kind: &Kind) -> Option<&Ty> {
    (!kind.is_custom()).then_some(&kind.ty)
}

fn respond(request: &ApiRequest, path: &ResourcePath, written: &WriteResult) -> Result<Response<Body>> {
    if path.subresource == "scale" {
        return Ok(response::json(200, &to_scale(&path.kind, &written.object)));
    }
    let code = if written.created { 201 } else { 200 };
    let mut response = representation::object(&request.form(false)?, &path.kind, code, &written.object);
    response::add_warnings(&mut response, &written.warnings);
    Ok(response)
}
