//! Create, update and patch requests.

use bytes::Bytes;
use http::Response;

use super::path::ResourcePath;
use super::request::ApiRequest;
use super::response::{self, Body};
use super::{body, duplicate_fields, representation};
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::options::{FieldValidation, WriteOptions};
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
    options.duplicate_fields = find_duplicate_fields(request, bytes, &options);
    let written = request.state.writer().create(kind, &path.namespace, value, &options).await?;
    Ok(respond(request, path, &written))
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
        return Ok(respond(request, path, &written));
    }
    let value = body::object(&request.headers, bytes, &kind.kind, protobuf_type(kind))?;
    options.duplicate_fields = find_duplicate_fields(request, bytes, &options);
    let written = request.state.writer().update(kind, &key, &path.subresource, value, &options).await?;
    Ok(respond(request, path, &written))
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
    let options = request.query.write_options(manager)?;
    let key = Key::new(&path.namespace, &path.name);
    let written = request.state.writer().patch(&path.kind, &key, &path.subresource, &patch, &options).await?;
    Ok(respond(request, path, &written))
}

/// Returns the paths of duplicate fields, unless the client ignores them.
fn find_duplicate_fields(request: &ApiRequest, bytes: &Bytes, options: &WriteOptions) -> Vec<String> {
    let json = matches!(body::media_type(&request.headers), "" | "application/json");
    if json && options.validation != FieldValidation::Ignore {
        duplicate_fields::find(bytes)
    } else {
        Vec::new()
    }
}

/// Returns the type for decoding protobuf: only built-in kinds have field numbers.
fn protobuf_type(kind: &Kind) -> Option<&Ty> {
    (!kind.is_custom()).then_some(&kind.ty)
}

fn respond(request: &ApiRequest, path: &ResourcePath, written: &WriteResult) -> Response<Body> {
    if path.subresource == "scale" {
        return response::json(200, &to_scale(&path.kind, &written.object));
    }
    let code = if written.created { 201 } else { 200 };
    let mut response = representation::object(request, &path.kind, code, &written.object);
    response::add_warnings(&mut response, &written.warnings);
    response
}
