//! Request bodies, read up to a limit.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

/// The largest body that is read, on both ports and from an upstream; a larger request gets 413.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Returns the whole body of a request, or `None` if it is larger than [`MAX_BODY`] or its connection is lost.
pub(crate) async fn read(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, MAX_BODY).collect().await.ok()?.to_bytes())
}
