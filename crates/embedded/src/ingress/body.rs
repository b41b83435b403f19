//! Bodies that record what their connection waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::connections::Connection;
use super::forward;

type Next<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// The body of a request. While it waits for its client, the connection may be closed.
pub(super) struct RequestBody {
    inner: Incoming,
    connection: Arc<Connection>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, connection: Arc<Connection>) -> Self {
        Self { inner, connection }
    }
}

impl Body for RequestBody {
    type Data = <Incoming as Body>::Data;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next<Self> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.connection.set_response();
                Poll::Ready(frame)
            }
            Poll::Pending => {
                self.connection.set_body();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    /// A body that is not needed any more, for example because the service has responded, is not waited for.
    fn drop(&mut self) {
        self.connection.set_response();
    }
}

/// The body of a response. When it is dropped, the connection waits for the next request.
pub(super) struct ResponseBody {
    inner: forward::Body,
    connection: Arc<Connection>,
}

impl ResponseBody {
    pub(super) fn new(inner: forward::Body, connection: Arc<Connection>) -> Self {
        Self { inner, connection }
    }
}

impl Body for ResponseBody {
    type Data = <forward::Body as Body>::Data;
    type Error = <forward::Body as Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next<Self> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.connection.set_head();
    }
}
