//! gRPC unary calls: the message `minimal.v1.Message` in one frame, and the status in headers or trailers.
//!
//! ```text
//!   request  ── frame ─► Message ─► the same work as for an HTTP request ─► HTTP response
//!                                                                             │ 2xx: one frame, then `grpc-status: 0` in trailers
//!                                                                             └ else: the status that fits, without a frame
//! ```

mod frame;
mod status;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

pub(crate) use frame::prefix;
pub use frame::{FrameError, decode_message, encode_message};
pub use meshy_load::grpc::http_status;
use status::status_of;

use crate::body::Payload;
use crate::response::HttpResponse;

/// The header or trailer with the status.
pub(crate) const STATUS: &str = "grpc-status";
/// The header or trailer with a text for people.
const MESSAGE: &str = "grpc-message";
/// The type of requests and responses.
pub(crate) const CONTENT: HeaderValue = HeaderValue::from_static("application/grpc");

/// Returns whether a request or a response is a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Returns the gRPC response that has the meaning of an HTTP response: its body becomes the body of a message.
pub(crate) fn response(response: HttpResponse) -> HttpResponse {
    let (mut head, body) = response.into_parts();
    let code = status_of(head.status);
    head.headers.insert(CONTENT_TYPE, CONTENT);
    if code != 0 {
        let reason = head.status.canonical_reason().unwrap_or("failed");
        head.headers.insert(MESSAGE, HeaderValue::from_static(reason));
        head.headers.insert(STATUS, HeaderValue::from(u16::from(code)));
        head.status = StatusCode::OK;
        return HttpResponse::from_parts(head, Payload::default());
    }
    let trailers = HeaderMap::from_iter([(http::HeaderName::from_static(STATUS), HeaderValue::from(0))]);
    let prefix = prefix(body.size());
    HttpResponse::from_parts(head, body.between(prefix, trailers))
}

/// Returns the HTTP status of a call whose request cannot be read: 400 becomes `INVALID_ARGUMENT`, 501 `UNIMPLEMENTED`.
pub(crate) fn rejection(error: FrameError) -> StatusCode {
    match error {
        FrameError::Compressed => StatusCode::NOT_IMPLEMENTED,
        FrameError::Length | FrameError::Message => StatusCode::BAD_REQUEST,
    }
}

/// Returns the body of the message in a request.
///
/// # Errors
/// Returns an error if the request is not one frame with one message.
pub(crate) fn request(body: &Bytes) -> Result<Bytes, FrameError> {
    decode_message(body)
}
