//! The fuzz target for gRPC requests: arbitrary bytes as the body of a call.

use bytes::Bytes;
use minimal_service::grpc::{decode_message, encode_message};

/// Checks that reading ends for any bytes, and that what was read is the same after writing and reading it.
pub(crate) fn case(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    let Ok(body) = decode_message(&frame) else { return };
    assert!(body.len() + 5 <= frame.len(), "a body of {} bytes from {}", body.len(), frame.len());
    assert_eq!(decode_message(&encode_message(&body)), Ok(body));
}
