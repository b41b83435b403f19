//! gRPC unary calls as requests of a load: one message in a frame, and the status in trailers or in the head.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// The method that is called where a URL names none: that of the test service.
pub(crate) const METHOD: &str = "/minimal.v1.Minimal/Call";

/// The header or trailer with the status.
const STATUS: &str = "grpc-status";

/// UNKNOWN, which a response without a status counts as.
const UNKNOWN: u16 = 2;

/// Returns the frame of a message: a zero for "not compressed" and the length before it.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// Returns the status of a response: that of the trailers, else that of its head.
pub(crate) fn code(head: &HeaderMap, trailers: Option<&HeaderMap>) -> u16 {
    let read = |headers: &HeaderMap| headers.get(STATUS)?.to_str().ok()?.parse().ok();
    trailers.and_then(read).or_else(|| read(head)).unwrap_or(UNKNOWN)
}

/// Returns the HTTP status that a gRPC status counts as, so that calls of both kinds are counted by the same statuses.
#[must_use]
pub fn http_status(code: u16) -> StatusCode {
    match code {
        0 => StatusCode::OK,
        1 => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 | 12 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_trailers_precedes_that_of_the_head() {
        let with = |code: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static(STATUS),
                http::HeaderValue::from_static(code),
            )])
        };
        assert_eq!(code(&with("0"), Some(&with("14"))), 14);
        assert_eq!(code(&with("13"), Some(&HeaderMap::new())), 13);
        assert_eq!(code(&with("13"), None), 13);
        for none in [HeaderMap::new(), with("x"), with("-1")] {
            assert_eq!(code(&none, None), UNKNOWN);
        }
    }

    #[test]
    fn a_message_follows_its_length() {
        assert_eq!(frame(b"\x0a\x02hi"), b"\0\0\0\0\x04\x0a\x02hi".as_slice());
        assert_eq!(frame(b""), b"\0\0\0\0\0".as_slice());
    }
}
