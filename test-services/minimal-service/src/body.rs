//! Bodies of requests and responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The largest body that is read into memory, on both ports; a larger request gets 413.
const MAX_BODY: usize = 64 * 1024;

/// The largest body that is received and dropped.
const MAX_DRAINED: u64 = 64 << 20;

/// What a body of a given size consists of.
static FILLER: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// A body: bytes, repeated up to a size, so that a large body does not need its size in memory.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    prefix: Bytes,
    bytes: Bytes,
    left: u64,
    trailers: Option<Box<HeaderMap>>,
}

impl Payload {
    /// Returns a body of this size.
    pub(crate) fn of_size(size: u64) -> Self {
        Self { bytes: Bytes::from_static(&FILLER), left: size, ..Self::default() }
    }

    /// Returns the number of bytes.
    pub(crate) fn size(&self) -> u64 {
        self.prefix.len() as u64 + self.left
    }

    /// Returns these bytes after a prefix.
    pub(crate) fn after(self, prefix: Bytes) -> Self {
        Self { prefix, ..self }
    }

    /// Returns these bytes after a prefix and before trailers.
    pub(crate) fn between(self, prefix: Bytes, trailers: HeaderMap) -> Self {
        Self { prefix, trailers: Some(Box::new(trailers)), ..self }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self { left: bytes.len() as u64, bytes, ..Self::default() }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.prefix.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.prefix)))));
        }
        if self.left == 0 {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))));
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.bytes.len());
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.bytes.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.size() == 0 && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size())
    }
}

/// Returns the whole body of a request, or `None` if it is larger than [`MAX_BODY`] or its connection is lost.
pub(crate) async fn read(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, MAX_BODY).collect().await.ok()?.to_bytes())
}

/// Receives a body and drops it; returns whether it was complete: not larger than [`MAX_DRAINED`], and its connection
/// not lost.
pub(crate) async fn drain(mut body: Incoming) -> bool {
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        received += frame.data_ref().map_or(0, |data| data.len() as u64);
        if received > MAX_DRAINED {
            return false;
        }
    }
    true
}
