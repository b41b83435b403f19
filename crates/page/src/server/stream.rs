//! A viewer's stream of server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use hyper::body::Frame;

use crate::hub::{Hub, Message, Position};

/// How long nothing may be sent: a browser that is gone is noticed by then.
const QUIET: Duration = Duration::from_secs(15);

/// Returns what a viewer gets, from the start of the run until the hub is closed.
pub(super) fn events(hub: Arc<Hub>) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    futures::stream::unfold((hub, Position::default()), async |(hub, mut position)| {
        let text = match tokio::time::timeout(QUIET, hub.next(&mut position)).await {
            Ok(message) => written(&message?),
            Err(_) => Bytes::from_static(b": nothing new\n\n"),
        };
        Some((Ok(Frame::data(text)), (hub, position)))
    })
}

/// JSON has no line break outside of its texts, and those are escaped.
fn written(message: &Message) -> Bytes {
    let (name, data) = message.parts();
    let mut text = Vec::with_capacity(data.len() + 32);
    text.extend_from_slice(b"event: ");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\ndata: ");
    text.extend_from_slice(data);
    text.extend_from_slice(b"\n\n");
    text.into()
}
