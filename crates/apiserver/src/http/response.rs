//! Responses.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, WARNING, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::error::ApiError;

/// The body of a response, complete or streamed.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// Returns a response with a complete body.
pub(super) fn complete(code: u16, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns a response with a body of JSON text.
pub(super) fn json_text(code: u16, text: Bytes) -> Response<Body> {
    complete(code, "application/json", text)
}

/// Returns a response with a JSON body.
pub(crate) fn json(code: u16, value: &Value) -> Response<Body> {
    json_text(code, Bytes::from(value.to_string()))
}

/// Returns the response for an error: its Status object.
pub(crate) fn error(error: &ApiError) -> Response<Body> {
    let mut response = json(error.code, &error.to_status());
    if error.code == 401 {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Returns the Status of a successful request.
pub(super) fn success_status() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
}

/// Adds a `Warning` header for each warning.
pub(super) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
