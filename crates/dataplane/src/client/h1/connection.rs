//! One connection and the request it carries.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use http::{Method, Request, Response};

use super::decode::Decoder;
use super::head::{self, BadAnswer};
use super::upload::Upload;
use super::wire::Wire;
use crate::body::RequestBody;
use crate::error::ProxyError;
use crate::transport::Transport;

/// A connection to an upstream.
pub(super) struct Connection {
    pub(super) wire: Wire,
    /// The rest of the request's body.
    upload: Option<Upload>,
    /// The method decides whether the answer has a body.
    method: Method,
    /// How much of the input was looked at for the end of a head.
    seen: usize,
    /// Why the request could not be written to its end; an answer may be there all the same.
    broken: Option<ProxyError>,
    keep: bool,
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, upload: None, method: Method::GET, seen: 0, broken: None, keep: false }
    }

    /// Starts a request; [`Connection::poll_head`] sends it.
    pub(super) fn begin(&mut self, request: Box<Request<RequestBody>>) {
        self.method = request.method().clone();
        let framing = head::write(&request, &mut self.wire.output);
        self.upload = framing.map(|framing| Upload::new(*request, framing));
    }

    /// The answer's head and how its body is framed.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Response<()>, Decoder), ProxyError>> {
        self.advance(cx);
        // Whoever was to send the rest is gone, and nobody waits for an answer.
        if matches!(self.broken, Some(ProxyError::Caller(_))) {
            return Poll::Ready(Err(self.broken.take().expect("just seen")));
        }
        loop {
            if let Some(head) = head::read(&mut self.wire.input, &mut self.seen, &self.method)? {
                self.keep = head.keep;
                return Poll::Ready(Ok((head.response, head.decoder)));
            }
            let error = match ready!(self.wire.poll_fill(cx)) {
                Ok(0) => BadAnswer::Ended.into(),
                Ok(_) => continue,
                Err(error) => error.into(),
            };
            return Poll::Ready(Err(self.broken.take().unwrap_or(error)));
        }
    }

    /// Reads more of an answer's body, and goes on with the request; nought is the end.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.advance(cx);
        self.wire.poll_fill(cx)
    }

    /// Writes as much of the request as can be written.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.poll_upload(cx) {
            self.upload = None;
            self.wire.clear();
            self.keep = false;
            self.broken = Some(error);
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        loop {
            ready!(self.wire.poll_drain(cx))?;
            let Some(upload) = &mut self.upload else { break };
            match upload.poll_encode(cx, &mut self.wire.output) {
                Poll::Ready(more) => {
                    if !more? {
                        self.upload = None;
                    }
                }
                // What was written so far is not held back.
                Poll::Pending => {
                    let _ = self.wire.poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
        self.wire.poll_flush(cx).map_err(Into::into)
    }

    /// Whether the other side neither closed the idle connection nor said something unasked.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Whether another request can follow, now that the answer was read.
    pub(super) fn rest(&mut self) -> bool {
        self.keep && self.broken.is_none() && self.upload.is_none() && self.wire.rest()
    }

    pub(super) fn into_transport(self) -> Transport {
        self.wire.into_transport()
    }
}
