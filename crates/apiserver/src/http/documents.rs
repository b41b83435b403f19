//! Paths that are not resources: discovery, health, version and OpenAPI.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, Response};
use serde_json::json;

use super::request::ApiRequest;
use super::response::{self, Body};
use crate::discovery;
use crate::error::{ApiError, Result};
use crate::openapi::protobuf::MEDIA_TYPE;

/// Responds to a GET or HEAD request for a document.
///
/// # Errors
/// 404 for an unknown path, 405 for another method.
pub(super) fn respond(request: &ApiRequest) -> Result<Response<Body>> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    let path: Vec<&str> = request.uri.path().trim_matches('/').split('/').collect();
    match path.as_slice() {
        [""] => {
            let paths =
                ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
            Ok(response::json(200, &json!({"paths": paths})))
        }
        ["healthz" | "livez" | "readyz", ..] => {
            Ok(response::complete(200, "text/plain; charset=utf-8", Bytes::from_static(b"ok")))
        }
        ["version"] => Ok(response::json(200, &discovery::version(&request.state.version))),
        ["api" | "apis", ..] => {
            let kinds = request.state.kinds.current();
            let document = discovery::document(&kinds, &path, request.header(&ACCEPT));
            let document = document.ok_or_else(ApiError::no_such_path)?;
            Ok(response::complete(200, document.content_type, Bytes::from(document.body.to_string())))
        }
        ["openapi", rest @ ..] => openapi(request, rest),
        _ => Err(ApiError::no_such_path()),
    }
}

fn openapi(request: &ApiRequest, path: &[&str]) -> Result<Response<Body>> {
    let kinds = request.state.kinds.current();
    // The media type in requests has an `@`, because kube-apiserver once used it.
    let accept = request.header(&ACCEPT).replace("v2@v1.0", "v2.v1.0");
    let is_preferred =
        |media_type: &str| media_type.split(',').next().unwrap_or_default().contains(MEDIA_TYPE);
    if path == ["v2"] && is_preferred(&accept) {
        let document = request.state.openapi.protobuf(&kinds).ok_or_else(ApiError::no_such_path)?;
        return Ok(response::complete(200, MEDIA_TYPE, document));
    }
    let document = request.state.openapi.document(&kinds, path).ok_or_else(ApiError::no_such_path)?;
    Ok(response::json_text(200, document))
}
