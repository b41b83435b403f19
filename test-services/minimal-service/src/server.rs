//! Accepts, serves and closes connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use meshy_net::{BoxIo, Listener};
use thiserror::Error;
use tokio::task::JoinSet;

use crate::state::{Listening, Phase, State};
use crate::{admin, service};

mod preface;
mod service_port;
mod tasks;

pub(crate) use service_port::ServicePort;
use tasks::Tasks;

/// How long open requests may take after the drain. The default grace period of Kubernetes is 30 s.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(25);

/// A connection that does not send a complete request head for this long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// The most connections of one port; more wait in the backlog of the listener.
const MAX_CONNECTIONS: usize = 4096;

/// The largest buffer of a connection, and so the largest request head.
const MAX_BUFFER: usize = 64 * 1024;

/// The most requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1024;

/// The pause after a failed accept: without file descriptors, for example, an immediate accept would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One of the two ports of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Service,
    Admin,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Admin => "admin",
        })
    }
}

/// Serves the admin port until the service closes and the connections of the port have ended.
pub(crate) async fn serve_admin(mut listener: Box<dyn Listener>, state: Arc<State>) {
    // The set is owned by this future, so dropping the future closes the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = accept(&mut listener, Port::Admin, &state), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(serve_connection(Port::Admin, stream, state.clone(), 0));
            }
            Some(_) = connections.join_next() => {}
            () = state.wait_for(Phase::Closing) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns the next connection. A failed accept is logged and repeated after [`ACCEPT_PAUSE`].
async fn accept(listener: &mut Box<dyn Listener>, port: Port, state: &State) -> BoxIo {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                state.log(format!("ERROR cannot accept a connection on the {port} port: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves the requests of one connection; `outages` is their number when it was accepted.
async fn serve_connection(port: Port, stream: BoxIo, state: Arc<State>, outages: u64) {
    let mut door = state.door.subscribe();
    let is_over = move |door: &Listening| port == Port::Service && door.outages != outages;
    let served = state.clone();
    let respond = move |request: Request<Incoming>| {
        let (state, version) = (served.clone(), request.version());
        async move {
            // A request that arrived on an idle connection after the service went down, and before the connection closed.
            if is_over(&state.door.borrow()) {
                return Err(Down);
            }
            let mut response = match port {
                Port::Service => service::respond(&state, request).await,
                Port::Admin => admin::respond(&state, request).await,
            };
            if state.phase() != Phase::Serving && version != Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    };
    // hyper detects HTTP/2 without a time limit, so its first bytes are read here.
    let started = tokio::select! {
        started = preface::read(stream, HEAD_TIMEOUT) => started,
        () = state.wait_for(Phase::Closing) => return,
        _ = door.wait_for(is_over) => return,
    };
    let Some(stream) = started else { return };
    // The streams of HTTP/2 are tasks of the connection: they end with it.
    let tasks = Tasks::default();
    let mut builder = auto::Builder::new(tasks.clone());
    let timer = TokioTimer::new;
    builder.http1().timer(timer()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_BUFFER);
    builder.http2().timer(timer()).max_concurrent_streams(MAX_STREAMS);
    let _streams = tasks.abort_on_drop();
    let connection = builder.serve_connection(TokioIo::new(stream), service_fn(respond));
    let mut connection = std::pin::pin!(connection);
    // An error is caused by the client, which closed the connection or sent invalid HTTP, or by an outage; it needs no
    // action here.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = state.wait_for(Phase::Closing) => {}
        _ = door.wait_for(is_over) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// The service is down: the connection is closed without a response.
#[derive(Debug, Error)]
#[error("the service is down")]
struct Down;
