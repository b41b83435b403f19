//! A connection with its bytes read ahead, its TLS session and its counters.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use meshy_net::BoxIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

use crate::metrics::TcpScope;

/// A stream whose first bytes were read already; they are read again.
pub(crate) struct Rewind {
    pub(crate) head: Bytes,
    pub(crate) io: BoxIo,
}

impl Rewind {
    pub(crate) fn new(io: BoxIo) -> Self {
        Self { head: Bytes::new(), io }
    }
}

/// A plain stream or a TLS session.
pub(crate) enum Stream {
    Plain(Rewind),
    Accepted(Box<server::TlsStream<Rewind>>),
    Opened(Box<client::TlsStream<BoxIo>>),
}

/// A stream with counters. It counts the bytes inside of TLS, as Linkerd does.
pub(crate) struct Transport {
    head: Bytes,
    stream: Stream,
    scope: Arc<TcpScope>,
    errno: &'static str,
}

impl Transport {
    /// Wraps a plain stream.
    pub(crate) fn plain(io: BoxIo, scope: Arc<TcpScope>) -> Self {
        Self::new(Stream::Plain(Rewind::new(io)), scope)
    }

    pub(crate) fn new(stream: Stream, scope: Arc<TcpScope>) -> Self {
        scope.opened();
        Self { head: Bytes::new(), stream, scope, errno: "" }
    }

    /// Puts back bytes that were read to detect the protocol.
    pub(crate) fn rewind(&mut self, head: Bytes) {
        self.head = head;
    }

    fn record_error<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.errno = match error.kind() {
                io::ErrorKind::ConnectionReset => "ECONNRESET",
                io::ErrorKind::BrokenPipe => "EPIPE",
                io::ErrorKind::TimedOut => "ETIMEDOUT",
                io::ErrorKind::NotConnected => "ENOTCONN",
                _ => "",
            };
        }
        result
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.scope.closed(self.errno);
    }
}

/// Fills a buffer from bytes read ahead.
fn read_head(head: &mut Bytes, buf: &mut ReadBuf<'_>) {
    let length = head.len().min(buf.remaining());
    buf.put_slice(&head[..length]);
    head.advance(length);
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        read_head(&mut self.head, buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

macro_rules! each {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream {
            Stream::Plain($io) => $call,
            Stream::Accepted($io) => $call,
            Stream::Opened($io) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.head.is_empty() {
            // Counted when they were read the first time.
            read_head(&mut this.head, buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = ready!(each!(&mut this.stream, io => Pin::new(io).poll_read(cx, buf)));
        this.scope.read.add((buf.filled().len() - before) as u64);
        Poll::Ready(this.record_error(result))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = ready!(each!(&mut this.stream, io => Pin::new(io).poll_write(cx, data)));
        this.scope.written.add(*result.as_ref().unwrap_or(&0) as u64);
        Poll::Ready(this.record_error(result))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = ready!(each!(&mut this.stream, io => Pin::new(io).poll_write_vectored(cx, data)));
        this.scope.written.add(*result.as_ref().unwrap_or(&0) as u64);
        Poll::Ready(this.record_error(result))
    }

    fn is_write_vectored(&self) -> bool {
        each!(&self.stream, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = ready!(each!(&mut this.stream, io => Pin::new(io).poll_flush(cx)));
        Poll::Ready(this.record_error(result))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        each!(&mut this.stream, io => Pin::new(io).poll_shutdown(cx))
    }
}
