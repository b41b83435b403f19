//! What came back: the body of an answer, or a connection that speaks something else from now on.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Pool;
use super::connection::Connection;
use super::decode::Decoder;
use crate::transport::Transport;

/// An answer's body, which moves its connection's bytes and gives it back to the pool at its end.
pub(crate) struct H1Body {
    decoder: Decoder,
    connection: Option<(Box<Connection>, Arc<Pool>)>,
}

impl H1Body {
    pub(super) fn new(decoder: Decoder, connection: Box<Connection>, pool: Arc<Pool>) -> Self {
        let mut this = Self { decoder, connection: Some((connection, pool)) };
        if this.decoder.is_done() {
            this.release();
        }
        this
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some((connection, _)) = &mut self.connection else { return Poll::Ready(None) };
        let item = loop {
            match self.decoder.decode(&mut connection.wire.input).transpose() {
                None if !self.decoder.is_done() => {}
                item => break item,
            }
            let ended = match ready!(connection.poll_more(cx)) {
                Ok(0) => self.decoder.ended(),
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            break ended.err().map(Err);
        };
        match &item {
            Some(Err(_)) => {
                self.connection = None;
                self.decoder = Decoder::Done;
            }
            _ if self.decoder.is_done() => self.release(),
            _ => {}
        }
        Poll::Ready(item)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }

    fn release(&mut self) {
        if let Some((connection, pool)) = self.connection.take() {
            pool.put(connection);
        }
    }
}

/// The connection of an answer that switched protocols, among the answer's extensions.
#[derive(Clone)]
pub(crate) struct Switched(Arc<Mutex<Option<Transport>>>);

impl Switched {
    pub(super) fn new(transport: Transport) -> Self {
        Self(Arc::new(Mutex::new(Some(transport))))
    }

    /// The connection; there is one.
    pub(crate) fn take(&self) -> Option<Transport> {
        self.0.lock().expect("switch lock").take()
    }
}
