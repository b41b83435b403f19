//! HTTP/1.1 connections to one address: hyper's client, one request at a time on each, kept open for later requests.
//!
//! hyper owns the protocol: framing, informational responses, trailers, upgrades. What is ours is which connection a
//! request uses, when a connection may be used again, and that requests and responses are framed by their bodies and not
//! by what a peer announced.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::connect::Connector;
use crate::body::{BoxResponse, RequestBody, ResponseBody};
use crate::error::ProxyError;
use crate::log;

/// How long a connection is kept without a request; Linkerd's default.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often idle connections are checked, so that one is closed after at most 4.5 s.
const CHECK_INTERVAL: Duration = Duration::from_millis(1500);

type Sender = http1::SendRequest<RequestBody>;

/// The idle connections to one address, the most recently used last.
pub(super) struct Pool {
    connector: Arc<Connector>,
    idle: Mutex<Idle>,
    this: Weak<Pool>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<IdleConnection>,
    /// Whether a task is running that closes connections after [`IDLE_TIMEOUT`].
    checked: bool,
}

struct IdleConnection {
    sender: Sender,
    since: Instant,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self { connector, idle: Mutex::default(), this: this.clone() })
    }

    /// Sends a request on an idle connection, or on a new one. A request that an idle connection did not start to send,
    /// because the peer closed it at the same moment, is sent on the next connection.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<BoxResponse, ProxyError> {
        frame_by_body(&mut request);
        loop {
            let (mut sender, reused) = match self.take() {
                Some(sender) => (sender, true),
                None => (self.open().await?, false),
            };
            match sender.try_send_request(*request).await {
                Ok(response) => return Ok(self.received(response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => *request = unsent,
                    _ => return Err(classify(error.into_error())),
                },
            }
        }
    }

    async fn open(&self) -> Result<Sender, ProxyError> {
        let transport = TokioIo::new(self.connector.connect().await?);
        // Small messages are cheaper to copy into one buffer than to write in parts.
        let (sender, connection) = http1::Builder::new().writev(false).handshake(transport).await?;
        log::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "HTTP/1.1 connection failed");
            }
        });
        Ok(sender)
    }

    fn received(self: &Arc<Self>, mut response: Response<Incoming>, sender: Sender) -> BoxResponse {
        // Both were present: the chunks decide, and hyper's server would write the length with the response.
        if response.headers().contains_key(TRANSFER_ENCODING) {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        // hyper would send the next request as HTTP/1.0, without the body if its length is unknown.
        let reusable = response.version() == Version::HTTP_11;
        // The response is passed on as ours; the caller's version decides how hyper writes it.
        *response.version_mut() = Version::HTTP_11;
        let lease = Lease { sender: reusable.then_some(sender), pool: self.clone() };
        Box::new(response.map(|body| ResponseBody::leased(body, lease)))
    }

    /// Returns the connection used last that is still open.
    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().expect("pool lock");
        while let Some(IdleConnection { sender, .. }) = idle.connections.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn put(&self, sender: Sender) {
        let mut idle = self.idle.lock().expect("pool lock");
        idle.connections.push(IdleConnection { sender, since: Instant::now() });
        if !std::mem::replace(&mut idle.checked, true) {
            tokio::spawn(close_idle(self.this.clone()));
        }
    }
}

/// The connection of a response whose body is being read. Dropped, it returns the connection to the pool as soon as hyper
/// is ready for another request: the response was read to its end and the whole request was sent.
struct Lease {
    sender: Option<Sender>,
    pool: Arc<Pool>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut sender) = self.sender.take().filter(|sender| !sender.is_closed()) else { return };
        if sender.is_ready() {
            return self.pool.put(sender);
        }
        // A runtime that is shutting down runs no further task.
        if let Ok(runtime) = Handle::try_current() {
            let pool = self.pool.clone();
            runtime.spawn(async move {
                if sender.ready().await.is_ok() {
                    pool.put(sender);
                }
            });
        }
    }
}

/// Closes connections after [`IDLE_TIMEOUT`]; ends when none is left.
async fn close_idle(pool: Weak<Pool>) {
    loop {
        sleep(CHECK_INTERVAL).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut idle = pool.idle.lock().expect("pool lock");
        idle.connections.retain(|one| now.duration_since(one.since) < IDLE_TIMEOUT && one.sender.is_ready());
        idle.checked = !idle.connections.is_empty();
        if !idle.checked {
            return;
        }
    }
}

/// A request body that broke is the caller's error; everything else is the upstream's.
fn classify(error: hyper::Error) -> ProxyError {
    if error.is_user() { ProxyError::RequestBody(error.into()) } else { error.into() }
}

/// Sets the framing headers from the body itself: what a caller announced is not passed on, so that no two readers can see
/// different ends of the request.
fn frame_by_body(request: &mut Request<RequestBody>) {
    *request.version_mut() = Version::HTTP_11;
    let body = request.body();
    let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    let announced = headers.remove(CONTENT_LENGTH).is_some();
    match length {
        // A request without a body has no length unless the caller sent one.
        Some(0) if !announced => {}
        Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        // Explicit, because hyper sends no body of unknown length with GET otherwise.
        None => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
}
