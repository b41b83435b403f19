//! HTTP/1.1 connections: kept alive, one request at a time.
//!
//! Heads are read by httparse, the parser that hyper reads them with, and framed by RFC 9112's rules. hyper's own client is
//! made for a task a connection: it hands every request, answer and piece of a body over between tasks, which is a quarter
//! of the instructions of a small request (`bench/dataplane`). Here a connection has no task. Whoever waits for its
//! answer moves its bytes; while nobody does, it waits in the pool. That it answers as hyper does is tested beside hyper,
//! and fuzzed (`tests/dataplane/fuzzed.rs`).

mod answer;
mod connection;
mod decode;
mod head;
mod upload;
mod wire;

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::time::sleep;

pub(crate) use answer::{H1Body, Switched};
pub(crate) use head::BadAnswer;

use super::connect::Connector;
use crate::body::{Answer, RequestBody, ResponseBody};
use crate::error::ProxyError;
use connection::Connection;
use wire::Wire;

/// A connection is kept without a request for 3 s at least, Linkerd's default: until its third look, for the first one
/// may follow at once.
const LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_millis(1500);

/// The idle connections to one address, the most recently used last.
pub(crate) struct Pool {
    connector: Arc<Connector>,
    idle: Mutex<Idle>,
    this: Weak<Pool>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Kept>,
    /// Whether a task waits to close what stays idle.
    watched: bool,
    /// How often it looked; what tells how long a connection is idle without asking a clock at each request.
    looks: u32,
}

struct Kept {
    connection: Box<Connection>,
    /// The number of looks when it was put back.
    looks: u32,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self { connector, idle: Mutex::default(), this: this.clone() })
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a request on an idle connection, or on a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Box<Request<RequestBody>>,
    ) -> Result<Answer, ProxyError> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => Box::new(Connection::new(Wire::new(self.connector.connect().await?))),
        };
        connection.begin(request);
        let (head, decoder) = std::future::poll_fn(|cx| connection.poll_head(cx)).await?;
        if head.status() == StatusCode::SWITCHING_PROTOCOLS {
            let mut answer = head.map(|()| ResponseBody::empty());
            answer.extensions_mut().insert(Switched::new(connection.into_transport()));
            return Ok(Box::new(answer));
        }
        Ok(Box::new(head.map(|()| ResponseBody::h1(H1Body::new(decoder, connection, self.clone())))))
    }

    /// The connection used last that was not closed meanwhile.
    fn take(&self) -> Option<Box<Connection>> {
        loop {
            let mut kept = self.idle.lock().expect("pool lock").connections.pop()?;
            if kept.connection.is_quiet() {
                return Some(kept.connection);
            }
        }
    }

    /// Takes a connection back whose answer was read.
    fn put(&self, mut connection: Box<Connection>) {
        if !connection.rest() {
            return;
        }
        let mut idle = self.idle.lock().expect("pool lock");
        let looks = idle.looks;
        idle.connections.push(Kept { connection, looks });
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(watch(self.this.clone()));
        }
    }
}

/// Closes connections that stayed idle, until none is left.
async fn watch(pool: Weak<Pool>) {
    loop {
        sleep(LOOK).await;
        let Some(pool) = pool.upgrade() else { return };
        let old: Vec<_> = {
            let mut idle = pool.idle.lock().expect("pool lock");
            idle.looks = idle.looks.wrapping_add(1);
            let looks = idle.looks;
            let is_old =
                |kept: &mut Kept| looks.wrapping_sub(kept.looks) >= LOOKS || !kept.connection.is_quiet();
            // Dropped outside the lock.
            let old = idle.connections.extract_if(.., is_old).collect();
            idle.watched = !idle.connections.is_empty();
            if !idle.watched {
                return;
            }
            old
        };
        drop(old);
    }
}
