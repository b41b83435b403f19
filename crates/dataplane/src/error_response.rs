//! The responses that the proxy synthesizes for errors.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode, Version};

use crate::body::{BoxResponse, ResponseBody};
use crate::error::ProxyError;
use crate::headers::{PROXY_CONNECTION, PROXY_ERROR};

/// gRPC status codes.
const DEADLINE_EXCEEDED: u8 = 4;
const NOT_FOUND: u8 = 5;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;

/// Builds the response to a caller of this version; with `headers`, `l5d-proxy-error` carries the reason.
pub(crate) fn error_response(error: &ProxyError, version: Version, grpc: bool, headers: bool) -> BoxResponse {
    error_response_at("", error, version, grpc, headers)
}

/// Builds the response as [`error_response`] does; `place` is where the error occurred and precedes the reason.
pub(crate) fn error_response_at(
    place: &str,
    error: &ProxyError,
    version: Version,
    grpc: bool,
    headers: bool,
) -> BoxResponse {
    let (status, grpc_status, close) = map(error);
    let mut response = Box::new(Response::new(ResponseBody::empty()));
    let fields = response.headers_mut();
    fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let named = status != StatusCode::INTERNAL_SERVER_ERROR || matches!(error, ProxyError::NoBackend(_));
    let message = if named { format!("{place}{error}") } else { "unexpected error".to_owned() };
    let message = HeaderValue::try_from(message).unwrap_or(HeaderValue::from_static("unexpected error"));
    if headers {
        fields.insert(PROXY_ERROR.clone(), message.clone());
        if close {
            fields.insert(PROXY_CONNECTION.clone(), HeaderValue::from_static("close"));
        }
    }
    if grpc {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.insert("grpc-status", HeaderValue::from(u16::from(grpc_status)));
        if headers {
            fields.insert("grpc-message", message);
        }
        return response;
    }
    if close && version == Version::HTTP_11 {
        fields.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let ProxyError::Redirect(_, location) = error {
        fields.insert(LOCATION, location.clone());
    }
    *response.status_mut() = status;
    response
}

/// Returns the status, the gRPC status, and whether the caller's connection is closed.
fn map(error: &ProxyError) -> (StatusCode, u8, bool) {
    match error {
        ProxyError::FailFast | ProxyError::RouteTimeout(_) | ProxyError::ConnectTimeout(_) => {
            (StatusCode::GATEWAY_TIMEOUT, DEADLINE_EXCEEDED, true)
        }
        ProxyError::StreamTimeout(..) => (StatusCode::GATEWAY_TIMEOUT, DEADLINE_EXCEEDED, false),
        ProxyError::LoadShed => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, true),
        ProxyError::Io(_) | ProxyError::RequestBody(_) | ProxyError::UnknownService(_) => {
            (StatusCode::BAD_GATEWAY, UNAVAILABLE, true)
        }
        ProxyError::Http(_) if error.has_io_cause() => (StatusCode::BAD_GATEWAY, UNAVAILABLE, true),
        ProxyError::NoRoute => (StatusCode::NOT_FOUND, NOT_FOUND, false),
        ProxyError::NotAllowed | ProxyError::Unauthorized => {
            (StatusCode::FORBIDDEN, PERMISSION_DENIED, false)
        }
        ProxyError::RateLimited => (StatusCode::TOO_MANY_REQUESTS, RESOURCE_EXHAUSTED, false),
        ProxyError::Redirect(status, _) => (*status, NOT_FOUND, false),
        ProxyError::InvalidOverride => (StatusCode::BAD_REQUEST, INTERNAL, true),
        ProxyError::NoBackend(_) => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, false),
        ProxyError::Http(_) => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, true),
    }
}
