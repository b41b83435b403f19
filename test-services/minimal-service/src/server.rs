//! Connections: accepting them, answering on them, ending them.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use meshy_net::{BoxIo, Listener};
use tokio::task::JoinSet;

use crate::service::State;
use crate::{admin, service};

/// What is given to open requests after the lingering. Kubernetes kills after 30 s unless told otherwise.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// A connection without a whole request head for this long is closed: an idle one, or a client that trickles.
const IDLE: Duration = Duration::from_secs(120);

/// Connections of one port at most; more wait in the system's backlog.
const CONNECTIONS: usize = 4096;

/// The buffer of a connection at most, and so the largest request head.
const BUFFER: usize = 64 * 1024;

/// A pause after an accept that failed: out of descriptors, say, which an immediate try cannot cure.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Asked to stop: new connections are still taken, each answer ends its connection.
    Lingering,
    /// No new connections; open requests are answered.
    Draining,
    Crashed,
}

/// The two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Service,
    Admin,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Admin => "admin",
        })
    }
}

/// Serves a port until the drain has come and its connections have ended.
pub(crate) async fn serve(door: Door, mut listener: Box<dyn Listener>, state: Arc<State>) {
    // Owned here: whoever drops this future cuts the connections, too.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(door, stream, state.clone())); }
                Err(error) => {
                    state.log(format!("ERROR accept on the {door} port: {error}"));
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = state.reached(Phase::Draining) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers the requests of one connection.
async fn converse(door: Door, stream: BoxIo, state: Arc<State>) {
    let respond = |request| {
        let state = state.clone();
        async move {
            let mut answer = match door {
                Door::Service => service::respond(&state, request).await,
                Door::Admin => admin::respond(&state, request).await,
            };
            if state.phase() != Phase::Serving {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service_fn(respond));
    let mut connection = std::pin::pin!(connection);
    // An error is the client's: it went away or did not speak HTTP. Nobody here could do anything about it.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = state.reached(Phase::Draining) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
