//! The body of a request on its way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Request};
use http_body::Body;

use crate::body::RequestBody;
use crate::error::ProxyError;
use crate::listed::lists;

/// How a request's body is framed. Nothing that the caller said of it decides, only the body itself, so that no two
/// readers can see different ends.
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// A body and what is left of it.
pub(super) struct Upload {
    request: Request<RequestBody>,
    framing: Framing,
}

impl Upload {
    pub(super) fn new(request: Request<RequestBody>, framing: Framing) -> Self {
        Self { request, framing }
    }

    /// Appends the next piece to the output; whether there may be more.
    pub(super) fn poll_encode(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Vec<u8>,
    ) -> Poll<Result<bool, ProxyError>> {
        let frame = match ready!(Pin::new(self.request.body_mut()).poll_frame(cx)) {
            Some(frame) => Some(frame.map_err(ProxyError::Caller)?),
            None => None,
        };
        let data = frame.as_ref().and_then(|frame| frame.data_ref());
        match (&mut self.framing, data) {
            (Framing::Length(left), Some(data)) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                output.extend_from_slice(data);
                Poll::Ready(Ok(*left > 0))
            }
            (Framing::Length(left), None) if *left > 0 => Poll::Ready(Err(wrong_length())),
            (Framing::Length(_), None) => Poll::Ready(Ok(false)),
            (Framing::Chunked, Some(data)) => {
                // An empty chunk would be the last one.
                if !data.is_empty() {
                    output.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                    output.extend_from_slice(data);
                    output.extend_from_slice(b"\r\n");
                }
                Poll::Ready(Ok(true))
            }
            (Framing::Chunked, None) => {
                output.extend_from_slice(b"0\r\n");
                if let Some(trailers) = frame.as_ref().and_then(|frame| frame.trailers_ref()) {
                    write_trailers(self.request.headers(), trailers, output);
                }
                output.extend_from_slice(b"\r\n");
                Poll::Ready(Ok(false))
            }
        }
    }
}

fn wrong_length() -> ProxyError {
    io::Error::new(io::ErrorKind::InvalidData, "a request's body of another length than announced").into()
}

/// Trailers that were announced and that do not frame, route or authorize a message.
fn write_trailers(headers: &HeaderMap, trailers: &HeaderMap, output: &mut Vec<u8>) {
    const NEVER: [HeaderName; 13] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    for (name, value) in trailers {
        if lists(headers, &TRAILER, name.as_str()) && !NEVER.contains(name) {
            super::head::write_line(name, value, output);
        }
    }
}
