//! Answers in the forms the service gives them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// An answer of either port.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with_type(status, "text/plain; charset=utf-8", body.into())
}

/// JSON with a line end, as shells like it.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut bytes = serde_json::to_vec(body).expect("maps with text keys and plain numbers");
    bytes.push(b'\n');
    with_type(status, "application/json", bytes.into())
}

/// A status with its own name as the body: a JSON string where the request said `Content-type: application/json`.
pub(crate) fn named(status: StatusCode, request: &HeaderMap) -> Answer {
    let name = status.canonical_reason().unwrap_or("Failed");
    match request.get(CONTENT_TYPE) {
        Some(kind) if kind == "application/json" => json(status, &name),
        _ => text(status, format!("{name}\n")),
    }
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
