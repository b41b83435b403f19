//! Responses.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, WARNING, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::error::ApiError;

/// Characters of all warnings of a response from which on they are shortened, from kube-apiserver.
const MAX_WARNING_CHARACTERS: usize = 4 * 1024;
/// Maximum characters of each warning if they are shortened, from kube-apiserver.
const MAX_CHARACTERS_OF_LONG_WARNINGS: usize = 256;
/// Maximum warnings of a response. With the other headers these are less than 100, the limit of many clients.
const MAX_WARNINGS: usize = 64;

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

/// Adds a `Warning` header for each different warning. If they are long in total, each is shortened and the last ones are
/// dropped, as in kube-apiserver: many clients accept only 100 headers.
pub(super) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    let mut seen = HashSet::new();
    let different: Vec<&str> =
        warnings.iter().map(String::as_str).filter(|text| seen.insert(*text)).collect();
    let is_long = different.iter().map(|text| text.chars().count()).sum::<usize>() > MAX_WARNING_CHARACTERS;
    let mut written = 0;
    for warning in different.into_iter().take(MAX_WARNINGS) {
        if written >= MAX_WARNING_CHARACTERS {
            return;
        }
        let limit = if is_long { MAX_CHARACTERS_OF_LONG_WARNINGS } else { usize::MAX };
        let warning: String = warning.chars().take(limit).collect();
        written += warning.chars().count();
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
