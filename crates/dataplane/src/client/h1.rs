//! HTTP/1.1 connections: kept alive, one request at a time.
//!
//! A connection has no task of its own. Whoever waits for its answer drives it, so a request costs no wake-up of
//! another task; while nobody does, it waits in the pool.
//!
//! A waiting task was mostly woken because something arrived. It drives without a waker first, and with its own when
//! there is nothing yet: hyper would keep the waker to tell that somebody reads the body, and so wake the very task that
//! reads it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;

use super::connect::Connector;
use crate::body::{Answer, RequestBody, ResponseBody};
use crate::error::ProxyError;

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
    connections: Vec<Connection>,
    /// Whether a task waits to close what stays idle.
    watched: bool,
    /// How often it looked; what tells how long a connection is idle without asking a clock at each request.
    looks: u32,
}

/// The half of a connection that moves bytes; behind a pointer because hyper does not name the one that can upgrade.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// Gone once it ended; dropping it is what fails a request that it never took.
    driver: Option<Driver>,
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

    /// Sends a request on an idle connection, or on a new one. A request that an idle connection did not take because
    /// it was closed meanwhile goes to the next one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, ProxyError> {
        // An HTTP/1.0 caller's connection ends with its request, ours does not.
        *request.version_mut() = Version::HTTP_11;
        loop {
            let (mut connection, reused) = match self.take() {
                Some(connection) => (connection, true),
                None => (self.open().await?, false),
            };
            let mut answer = pin!(connection.sender.try_send_request(*request));
            let mut woken = false;
            let result = std::future::poll_fn(|cx| {
                let mut noop = Context::from_waker(Waker::noop());
                if std::mem::replace(&mut woken, true) {
                    drive(&mut connection.driver, &mut noop);
                    if let Poll::Ready(answer) = answer.as_mut().poll(&mut noop) {
                        return Poll::Ready(answer);
                    }
                }
                drive(&mut connection.driver, cx);
                // The answer comes only out of the driver, so no waker is needed here.
                answer.as_mut().poll(&mut noop)
            })
            .await;
            match result {
                Ok(mut response) => {
                    // Nor does the caller's with the answer of an HTTP/1.0 application.
                    *response.version_mut() = Version::HTTP_11;
                    let pool = self.clone();
                    let response = response.map(|body| ResponseBody::h1(H1Body::new(body, connection, pool)));
                    return Ok(Box::new(response));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => *request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    async fn open(&self) -> Result<Connection, ProxyError> {
        let transport = self.connector.connect().await?;
        let (sender, driver) = http1::Builder::new().writev(false).handshake(TokioIo::new(transport)).await?;
        let driver: Driver = Box::pin(driver.with_upgrades());
        let mut connection = Connection { sender, driver: Some(driver), looks: 0 };
        // hyper takes a request once its driver was polled.
        connection.look();
        Ok(connection)
    }

    /// The connection used last. It may have been closed meanwhile; it then gives the request back.
    fn take(&self) -> Option<Connection> {
        self.idle.lock().expect("pool lock").connections.pop()
    }

    fn put(&self, mut connection: Connection) {
        if !connection.is_ready() && !connection.look() {
            return;
        }
        let mut idle = self.idle.lock().expect("pool lock");
        connection.looks = idle.looks;
        idle.connections.push(connection);
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
            // Dropped outside the lock.
            let old =
                idle.connections.extract_if(.., |one| looks.wrapping_sub(one.looks) >= LOOKS || !one.look());
            let old = old.collect();
            idle.watched = !idle.connections.is_empty();
            if !idle.watched {
                return;
            }
            old
        };
        drop(old);
    }
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
        *driver = None;
    }
}

impl Connection {
    /// Lets the driver see what happened meanwhile; whether the connection can take a request.
    fn look(&mut self) -> bool {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        self.is_ready()
    }

    fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// An answer's body, which drives its connection and gives it back to the pool at its end.
pub(crate) struct H1Body {
    body: Incoming,
    connection: Option<(Connection, Arc<Pool>)>,
}

impl H1Body {
    fn new(body: Incoming, connection: Connection, pool: Arc<Pool>) -> Self {
        let mut this = Self { body, connection: Some((connection, pool)) };
        if this.body.is_end_stream() {
            this.release();
        }
        this
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut noop = Context::from_waker(Waker::noop());
        // First what already arrived; asking also tells the driver that more is wanted.
        let mut item = Pin::new(&mut self.body).poll_frame(&mut noop);
        if item.is_pending() {
            let Some((connection, _)) = &mut self.connection else { return Poll::Ready(None) };
            drive(&mut connection.driver, &mut noop);
            item = Pin::new(&mut self.body).poll_frame(&mut noop);
            if item.is_pending() {
                drive(&mut connection.driver, cx);
                item = Pin::new(&mut self.body).poll_frame(&mut noop);
            }
        }
        let item = ready!(item);
        if matches!(item, None | Some(Err(_))) || self.body.is_end_stream() {
            self.release();
        }
        Poll::Ready(item)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn release(&mut self) {
        if let Some((connection, pool)) = self.connection.take() {
            pool.put(connection);
        }
    }
}
