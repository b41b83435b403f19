//! A request's body.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::replay::Replay;
use super::track::SentAt;
use crate::error::BoxError;
use crate::metrics::{Counter, Histogram};

/// The body of a request or of one attempt. It counts the request when its first frame is read.
pub(crate) struct RequestBody {
    inner: Inner,
    /// Incremented at the first frame, then empty; requests without a body are never in here.
    uncounted: Vec<Arc<Counter>>,
    frames: Option<Arc<Histogram>>,
    sent: Option<Arc<OnceLock<Instant>>>,
}

enum Inner {
    Empty,
    Incoming(Incoming),
    Replay(Replay<RequestBody>),
}

impl RequestBody {
    pub(crate) fn incoming(body: Incoming) -> Self {
        Self::new(if body.is_end_stream() { Inner::Empty } else { Inner::Incoming(body) })
    }

    /// Returns the body of one more attempt.
    pub(crate) fn of_attempt(kept: &Replay<RequestBody>) -> Self {
        Self::new(Inner::Replay(kept.reading()))
    }

    fn new(inner: Inner) -> Self {
        Self { inner, uncounted: Vec::new(), frames: None, sent: None }
    }

    /// Counts the request: at once if it has no body, else when the body is first read.
    pub(crate) fn count(&mut self, counter: &Arc<Counter>) {
        if self.is_end_stream() { counter.inc() } else { self.uncounted.push(counter.clone()) }
    }

    /// Records the size of every data frame.
    pub(crate) fn measure_frames(&mut self, frames: &Arc<Histogram>) {
        if !self.is_end_stream() {
            self.frames = Some(frames.clone());
        }
    }

    /// Returns when the body will have been read to its end; `now` without a body.
    pub(crate) fn sent_at(&mut self, now: Instant) -> SentAt {
        if self.is_end_stream() {
            return SentAt::Known(now);
        }
        SentAt::Pending(self.sent.get_or_insert_default().clone())
    }

    fn finished(&mut self) {
        if let Some(sent) = self.sent.take() {
            let _ = sent.set(Instant::now());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = match &mut this.inner {
            Inner::Empty => None,
            Inner::Incoming(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into))
            }
            Inner::Replay(body) => ready!(body.poll_frame(cx)),
        };
        for counter in this.uncounted.drain(..) {
            counter.inc();
        }
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(frames), Some(data)) = (&this.frames, frame.data_ref()) {
                    frames.observe(data.len() as u64);
                }
                if this.is_end_stream() {
                    this.finished();
                }
            }
            _ => this.finished(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Incoming(body) => body.is_end_stream(),
            Inner::Replay(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Incoming(body) => body.size_hint(),
            Inner::Replay(body) => body.size_hint(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.finished();
    }
}
