//! An answer's body on its way back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::track::{End, Tracker, Tracking};
use crate::error::{BoxError, StreamTimeout, stream_words};

/// The body of an answer, with its watchers and time limits.
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

    /// A body whose connection is in use until the body ends or is dropped; then `lease` is dropped.
    pub(crate) fn leased(body: Incoming, lease: impl Send + 'static) -> Self {
        let mut body = Self::incoming(body);
        if !body.inner.is_end() {
            body.lease = Some(Box::new(lease));
        }
        body
    }

    /// Sets the watchers' common part; the first to be called on an answer.
    pub(crate) fn track(&mut self, tracking: Box<Tracking>) {
        self.tracking = Some(tracking);
    }

    /// Adds a watcher.
    pub(crate) fn add(&mut self, tracker: Tracker) {
        if let Some(tracking) = &mut self.tracking {
            tracking.add(tracker);
        }
    }

    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = Some(Box::new(limits));
    }

    /// Whether the answer is a failure as far as its head tells.
    pub(crate) fn failed(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| tracking.failed())
    }

    /// Tells balancer and breaker at once what the head says, before another try asks them.
    pub(crate) fn judge(&mut self) {
        if let Some(tracking) = &mut self.tracking {
            tracking.judge();
        }
    }

    /// Lets go of an answer that another try replaces. What already arrived is read away, so that its connection can
    /// be used again; an answer still on its way costs the connection.
    pub(crate) fn abandon(mut self) {
        if let Some(mut tracking) = self.tracking.take() {
            tracking.end(if self.inner.is_end() { End::Whole(None) } else { End::Dropped });
        }
        // As many frames as one read of a connection can have brought.
        for _ in 0..4 {
            match self.inner.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(_))) => {}
                _ => break,
            }
        }
    }

    fn ended(&mut self, end: End<'_>) {
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
                Some(limits) => Some(Err(ready!(limits.poll_expired(cx)).into())),
                None => return Poll::Pending,
            },
        };
        if let Some(limits) = &mut this.limits {
            limits.touch();
        }
        // The end tells the first data, too, and asks the clock once for both.
        let last = match &item {
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end(),
            _ => true,
        };
        if last {
            this.lease = None;
        }
        if let Some(tracking) = this.tracking.as_mut().filter(|_| !last) {
            tracking.first_data();
        }
        match &item {
            None => this.ended(End::Whole(None)),
            Some(Err(error)) => {
                let (class, label) = stream_words(error);
                this.ended(End::Broken(class, label));
            }
            Some(Ok(frame)) => {
                if let (Some(data), Some(tracking)) = (frame.data_ref(), &this.tracking) {
                    tracking.frame(data.len());
                }
                // Counted before the bytes leave, so that a caller who has the whole answer finds it counted.
                if last {
                    this.ended(End::Whole(frame.trailers_ref()));
                }
            }
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Text(text) => SizeHint::with_exact(text.len() as u64),
            Inner::Incoming(body) => body.size_hint(),
        }
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
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Incoming(body) => body.is_end_stream(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let end = if self.inner.is_end() { End::Whole(None) } else { End::Dropped };
        self.ended(end);
    }
}

/// How long an answer's body may take.
pub(crate) struct Limits {
    until: Option<(Pin<Box<Sleep>>, StreamTimeout)>,
    idle: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl Limits {
    /// The earliest of the ends, and the longest pause between frames.
    pub(crate) fn new(
        ends: impl IntoIterator<Item = (Instant, StreamTimeout)>,
        idle: Option<Duration>,
    ) -> Option<Self> {
        let end = ends.into_iter().min_by_key(|(end, _)| *end);
        let until = end.map(|(end, why)| (Box::pin(sleep_until(end)), why));
        let idle = idle.map(|idle| (Box::pin(sleep(idle)), idle));
        (until.is_some() || idle.is_some()).then_some(Self { until, idle })
    }

    fn touch(&mut self) {
        if let Some((sleep, idle)) = &mut self.idle {
            sleep.as_mut().reset(Instant::now() + *idle);
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<StreamTimeout> {
        if let Some((sleep, why)) = &mut self.until
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(*why);
        }
        match &mut self.idle {
            Some((sleep, _)) => sleep.as_mut().poll(cx).map(|()| StreamTimeout::Idle),
            None => Poll::Pending,
        }
    }
}
