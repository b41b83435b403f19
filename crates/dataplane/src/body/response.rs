//! A response's body.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::limits::Limits;
use super::track::{StreamEnd, Tracker, Tracking};
use crate::error::{BoxError, body_error_names};

/// The body of a response, with its trackers and timeouts.
pub(crate) struct ResponseBody {
    inner: Inner,
    /// Dropped at the end of the body; returns the connection to its pool.
    lease: Option<Box<dyn Send>>,
    tracking: Option<Box<Tracking>>,
    limits: Option<Box<Limits>>,
}

enum Inner {
    Empty,
    Text(Bytes),
    Incoming(Incoming),
    Peeked(Box<Peeked>),
}

/// A body whose first frames were read ahead.
struct Peeked {
    items: VecDeque<Result<Frame<Bytes>, BoxError>>,
    rest: Inner,
}

type Item = Option<Result<Frame<Bytes>, BoxError>>;

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self::new(Inner::Empty)
    }

    fn new(inner: Inner) -> Self {
        Self { inner, lease: None, tracking: None, limits: None }
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::new(Inner::Text(text.into()))
    }

    pub(crate) fn incoming(body: Incoming) -> Self {
        Self::new(if body.is_end_stream() { Inner::Empty } else { Inner::Incoming(body) })
    }

    /// Wraps a body whose connection is in use until the body ends or is dropped; then `lease` is dropped.
    pub(crate) fn leased(body: Incoming, lease: impl Send + 'static) -> Self {
        let mut body = Self::incoming(body);
        if !body.inner.is_end() {
            body.lease = Some(Box::new(lease));
        }
        body
    }

    /// Sets the tracking; called once, before the first [`ResponseBody::add`].
    pub(crate) fn track(&mut self, tracking: Box<Tracking>) {
        self.tracking = Some(tracking);
    }

    /// Adds a tracker.
    pub(crate) fn add(&mut self, tracker: Tracker) {
        if let Some(tracking) = &mut self.tracking {
            tracking.add(tracker);
        }
    }

    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = Some(Box::new(limits));
    }

    /// Whether the response is a failure by its head.
    pub(crate) fn is_failure_by_head(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| tracking.is_failure_by_head())
    }

    /// Reports the result by the head to the balancer and the breaker now, before an endpoint is chosen for a retry.
    pub(crate) fn report_head(&mut self) {
        if let Some(tracking) = &mut self.tracking {
            tracking.report_head();
        }
    }

    /// Returns the gRPC status if it is known.
    pub(crate) fn grpc_status(&self) -> Option<u8> {
        self.tracking.as_ref()?.grpc_status()
    }

    /// Reads the trailers ahead if no data comes before them, or one frame of data with the trailers right behind it. A
    /// response that streams is not delayed.
    pub(crate) async fn peek_trailers(&mut self) {
        if self.grpc_status().is_some() || self.inner.is_end() {
            return;
        }
        let mut items = VecDeque::with_capacity(2);
        let first = poll_fn(|cx| match (self.inner.poll(cx), &mut self.limits) {
            (Poll::Pending, Some(limits)) => limits.poll_expired(cx).map(|timeout| Some(Err(timeout.into()))),
            (item, _) => item,
        });
        let first = first.await;
        let is_data = matches!(&first, Some(Ok(frame)) if frame.is_data());
        let ended = first.is_none();
        items.extend(first);
        if is_data {
            let second = poll_fn(|cx| Poll::Ready(self.inner.poll(cx))).await;
            if let Poll::Ready(Some(item)) = second {
                items.push_back(item);
            }
        }
        let trailers = items.iter().find_map(|item| item.as_ref().ok()?.trailers_ref());
        if let Some(tracking) = self.tracking.as_mut().filter(|_| trailers.is_some() || ended) {
            tracking.decide(trailers);
        }
        let rest = std::mem::replace(&mut self.inner, Inner::Empty);
        self.inner = Inner::Peeked(Box::new(Peeked { items, rest }));
    }

    /// Drops a response that a retry replaces. A body that has arrived already is read, so that its connection can be used
    /// again; a body still on its way closes the connection.
    pub(crate) fn abandon(mut self) {
        if let Some(mut tracking) = self.tracking.take() {
            tracking.end(self.end());
        }
        // As many frames as hyper may have ready; it drains the rest of a chunked body itself.
        for _ in 0..4 {
            match self.inner.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(_))) => {}
                _ => break,
            }
        }
    }

    fn end(&self) -> StreamEnd<'static> {
        if self.inner.is_end() { StreamEnd::Complete(None) } else { StreamEnd::Dropped }
    }

    fn ended(&mut self, end: StreamEnd<'_>) {
        if let Some(mut tracking) = self.tracking.take() {
            tracking.end(end);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item> {
        let this = &mut *self;
        let item = match this.inner.poll(cx) {
            Poll::Ready(item) => item,
            Poll::Pending => match &mut this.limits {
                Some(limits) => {
                    let timeout = ready!(limits.poll_expired(cx));
                    tracing::debug!(%timeout, "response timed out");
                    Some(Err(timeout.into()))
                }
                None => return Poll::Pending,
            },
        };
        if let Some(limits) = &mut this.limits {
            limits.restart_idle();
        }
        let last = match &item {
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end(),
            _ => true,
        };
        if last {
            this.lease = None;
        }
        // The end reports the first data as well, so that the clock is read once for both.
        if let Some(tracking) = this.tracking.as_mut().filter(|_| !last) {
            tracking.first_data();
        }
        match &item {
            None => this.ended(StreamEnd::Complete(None)),
            Some(Err(error)) => {
                let (class, label) = body_error_names(error);
                this.ended(StreamEnd::Broken { class, label });
            }
            Some(Ok(frame)) => {
                if let (Some(data), Some(tracking)) = (frame.data_ref(), &this.tracking) {
                    tracking.frame(data.len());
                }
                // Counted before the bytes leave, so that a caller who has the whole response finds it counted.
                if last {
                    this.ended(StreamEnd::Complete(frame.trailers_ref()));
                }
            }
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Inner {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Incoming(body) => {
                Pin::new(body).poll_frame(cx).map(|item| item.map(|frame| frame.map_err(Into::into)))
            }
            Self::Peeked(peeked) => match peeked.items.pop_front() {
                Some(item) => Poll::Ready(Some(item)),
                None => peeked.rest.poll(cx),
            },
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Incoming(body) => body.is_end_stream(),
            Self::Peeked(peeked) => peeked.items.is_empty() && peeked.rest.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Incoming(body) => body.size_hint(),
            // Its trailers would be lost if the length were announced.
            Self::Peeked(_) => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.ended(self.end());
    }
}
