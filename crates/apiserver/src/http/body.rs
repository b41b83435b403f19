//! Request bodies: size limit and decoding.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::schema::{Ty, protobuf};

/// Maximum size of a request body in bytes, as in kube-apiserver.
const LIMIT: usize = 3 * 1024 * 1024;

/// Reads a body of at most [`LIMIT`] bytes.
///
/// # Errors
/// 413 for a larger body, 400 if reading fails.
pub(super) async fn collect<B>(body: B) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let body = body.map_err(|error| std::io::Error::other(error.to_string()));
    match Limited::new(body, LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {LIMIT}"),
        )),
        Err(error) => Err(ApiError::bad_request(format!("cannot read the request body: {error}"))),
    }
}

/// Returns the media type of a body without parameters, or an empty string.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Decodes an object from JSON, YAML, or (if `ty` is given) protobuf. `kind` is the expected kind, for error messages.
pub(super) fn object(headers: &HeaderMap, bytes: &Bytes, kind: &str, ty: Option<&Ty>) -> Result<Value> {
    match media_type(headers) {
        "" | "application/json" | "*/*" => {
            serde_json::from_slice(bytes).map_err(|error| unreadable(kind, bytes, &error))
        }
        "application/yaml" => yaml(bytes),
        "application/vnd.kubernetes.protobuf" if ty.is_some() => {
            let ty = ty.unwrap_or(&Ty::Any { atomic: true });
            protobuf::decode(ty, bytes).map_err(|error| ApiError::bad_request(error.to_string()))
        }
        _ => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        )),
    }
}

/// Decodes YAML. JSON, the usual format, is tried first.
pub(super) fn yaml(bytes: &Bytes) -> Result<Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    serde_yaml::from_str(text).map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
}

/// Decodes a JSON patch document.
pub(super) fn json(bytes: &Bytes) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))
}

fn unreadable(kind: &str, bytes: &Bytes, error: &serde_json::Error) -> ApiError {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(256).collect();
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: \
         {error} ({shown})"
    ))
}
