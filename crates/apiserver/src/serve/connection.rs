//! One connection: TLS, HTTP/1.1 or HTTP/2, and its time limits.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::authenticate::authenticate;
use super::connections::Connection;
use crate::server::Server;

/// Timeout over HTTP/1.1 from the end of a response to the complete headers of the next request: hyper has one time for the
/// pause and the headers. It is longer than clients keep an idle connection (90 s in client-go and in hyper's client): a server
/// that closes first can close while a request is on its way. Clients that do not authenticate have shorter limits (`connections`).
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);
/// Interval of the pings on a connection over HTTP/2, as in kube-apiserver (`http2.Server` of Go, which client-go expects
/// to be at most 30 s).
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Timeout of the response to a ping. A client that cannot respond for this long has lost the connection.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a connection until it ends, its client is gone, or it must be closed.
pub(super) async fn serve<S>(server: Server, stream: S, acceptor: TlsAcceptor, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::new(connection);
    tokio::select! {
        () = serve_requests(server, stream, acceptor, connection.clone()) => {}
        () = connection.expired() => tracing::debug!("closed a connection without authentication"),
    }
}

async fn serve_requests<S>(server: Server, stream: S, acceptor: TlsAcceptor, connection: Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(stream) = acceptor.accept(stream).await else { return };
    // The verifier accepts only certificates of the authority.
    let has_certificate = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let service = service_fn(move |request| {
        authenticate(server.clone(), request, has_certificate, connection.request())
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}
