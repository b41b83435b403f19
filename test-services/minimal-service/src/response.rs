//! Builds responses.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use crate::body::Payload;

const TEXT: &str = "text/plain; charset=utf-8";

/// A response of either port.
pub(crate) type HttpResponse = Response<Payload>;

/// Returns a response with a body of plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    with_type(status, TEXT, body.into().into())
}

/// Returns a response with a body of JSON that ends with a line feed.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    let mut bytes = serde_json::to_vec(body).expect("maps with text keys and plain numbers");
    bytes.push(b'\n');
    with_type(status, "application/json", Bytes::from(bytes).into())
}

/// Returns a response whose body is the reason phrase of its status: a JSON string if the request has the header
/// `Content-Type: application/json`, else text.
pub(crate) fn status(status: StatusCode, request: &HeaderMap) -> HttpResponse {
    let phrase = status.canonical_reason().unwrap_or("Failed");
    match request.get(CONTENT_TYPE) {
        Some(kind) if kind == "application/json" => json(status, &phrase),
        _ => text(status, format!("{phrase}\n")),
    }
}

/// Returns a 200 with a body of this size.
pub(crate) fn of_size(size: u64) -> HttpResponse {
    with_type(StatusCode::OK, TEXT, Payload::of_size(size))
}

/// Returns a response without a body.
pub(crate) fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Payload::default());
    *response.status_mut() = status;
    response
}

fn with_type(status: StatusCode, kind: &'static str, body: Payload) -> HttpResponse {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
