//! HTTPS on loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::http::{Body, answer_error, handle};
use crate::{ApiError, Authority, Result, Server};

/// A TLS handshake takes milliseconds; one that does not end holds a descriptor for no longer than this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take over its headers.
const HEADERS: Duration = Duration::from_secs(10);
/// Connections at once; each idle one costs some ten KiB.
const MOST_CONNECTIONS: usize = 4096;

/// A server listening on a socket. Dropping it stops it.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves HTTPS on a listener. Clients show the token or a certificate of the authority; `/healthz`, `/livez`,
    /// `/readyz` and `/version` are open, as in Kubernetes.
    ///
    /// # Errors
    /// When the listener is not on a loopback address, or no certificate can be made.
    pub fn serve(&self, listener: TcpListener, authority: &Authority) -> Result<Served> {
        let address = listener.local_addr().map_err(ApiError::internal)?;
        if !address.ip().is_loopback() {
            return Err(ApiError::internal(format!("{address} is not a loopback address")));
        }
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config()?));
        let task = tokio::spawn(accept(self.clone(), listener, acceptor));
        Ok(Served { address, task })
    }
}

async fn accept(server: Server, listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(connection(server.clone(), stream, acceptor.clone()));
            }
            Ok(_) => tracing::warn!("refused a connection: {MOST_CONNECTIONS} are open"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of descriptors: trying again at once would only spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(server: Server, stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    // The verifier lets in no certificate but the authority's own.
    let certified = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let service = service_fn(move |request| guarded(server.clone(), request, certified));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn guarded(
    server: Server,
    request: Request<Incoming>,
    certified: bool,
) -> std::result::Result<Response<Body>, Infallible> {
    if !names_loopback(&request) {
        let message = "the Host header does not name this machine's loopback address";
        return Ok(answer_error(&ApiError::new(403, "Forbidden", message)));
    }
    let open = matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz" | "/version");
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !open && !certified && !server.token().is_shown_by(shown) {
        return Ok(answer_error(&ApiError::new(401, "Unauthorized", "Unauthorized")));
    }
    Ok(handle(server.core.clone(), request).await)
}

/// A page that lets its own name resolve to loopback (DNS rebinding) still sends its own name.
fn names_loopback(request: &Request<Incoming>) -> bool {
    let header = |headers: &HeaderMap| {
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
    };
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let Some(host) = header(request.headers()).or(authority) else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "127.0.0.1" | "localhost" | "::1" | "kubernetes" | "kubernetes.default.svc")
}
