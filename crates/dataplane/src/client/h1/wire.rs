//! A connection's bytes: those read ahead, and those still to be written.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::transport::Transport;

/// The room that a read gets at first, and at most, when one after the other fills it.
const ROOM: (usize, usize) = (8 * 1024, 128 * 1024);
/// Less room than this is not worth a read.
const LITTLE: usize = 1024;

/// A transport with its buffers.
pub(super) struct Wire {
    io: Transport,
    /// Read, not yet understood.
    pub(super) input: BytesMut,
    /// To be written, from `written` on.
    pub(super) output: Vec<u8>,
    written: usize,
    flushed: bool,
    room: usize,
}

impl Wire {
    pub(super) fn new(io: Transport) -> Self {
        Self { io, input: BytesMut::new(), output: Vec::new(), written: 0, flushed: true, room: ROOM.0 }
    }

    /// Reads once; nought is the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LITTLE {
            // Memory whose parts are no longer held by anybody is used again.
            self.input.reserve(self.room);
        }
        let read = ready!(pin!(self.io.read_buf(&mut self.input)).poll(cx))?;
        if self.input.len() == self.input.capacity() {
            self.room = (self.room * 2).min(ROOM.1);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes all of the output.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.output[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
            self.flushed = false;
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets what was not written.
    pub(super) fn clear(&mut self) {
        self.output.clear();
        self.written = 0;
    }

    /// Whether nothing is left to read or to write; lets go of memory that a large message took.
    pub(super) fn rest(&mut self) -> bool {
        if self.output.capacity() > ROOM.0 {
            self.output.shrink_to(ROOM.0.max(self.output.len()));
        }
        if self.room > ROOM.0 && self.input.is_empty() {
            self.input = BytesMut::new();
            self.room = ROOM.0;
        }
        self.input.is_empty() && self.output.is_empty()
    }

    /// The transport, which gives what was read ahead once more.
    pub(super) fn into_transport(mut self) -> Transport {
        self.io.rewind(self.input.freeze());
        self.io
    }
}
