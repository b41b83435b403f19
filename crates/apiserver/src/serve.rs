//! HTTPS server on a loopback address.

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

use crate::error::{ApiError, Result};
use crate::http::{Body, handle, response};
use crate::server::Server;
use crate::tls::CertificateAuthority;

/// Timeout of the TLS handshake, which normally takes milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for receiving the request headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum concurrent connections; an idle one uses about 10 KiB.
const MAX_CONNECTIONS: usize = 4096;

/// A server that listens on a socket. Dropping it stops the server.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves HTTPS on a listener. Clients authenticate with the token or a certificate of the authority; `/healthz`,
    /// `/livez`, `/readyz` and `/version` need no authentication, as in Kubernetes.
    ///
    /// # Errors
    /// 500 if the address is not a loopback address, or the certificate cannot be created.
    pub fn serve(&self, listener: TcpListener, authority: &CertificateAuthority) -> Result<RunningServer> {
        let address = listener.local_addr().map_err(ApiError::internal)?;
        if !address.ip().is_loopback() {
            return Err(ApiError::internal(format!("{address} is not a loopback address")));
        }
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config()?));
        let task = tokio::spawn(accept(self.clone(), listener, acceptor));
        Ok(RunningServer { address, task })
    }
}

async fn accept(server: Server, listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(connection(server.clone(), stream, acceptor.clone()));
            }
            Ok(_) => tracing::warn!("rejected a connection: {MAX_CONNECTIONS} connections are open"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Probably out of file descriptors: an immediate retry would busy-loop.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(server: Server, stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await else {
        return;
    };
    // The verifier accepts only certificates of the authority.
    let has_certificate = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let service = service_fn(move |request| authenticate(server.clone(), request, has_certificate));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn authenticate(
    server: Server,
    request: Request<Incoming>,
    has_certificate: bool,
) -> std::result::Result<Response<Body>, Infallible> {
    if !is_loopback_host(&request) {
        let message = "the Host header does not name this machine's loopback address";
        return Ok(response::error(&ApiError::new(403, "Forbidden", message)));
    }
    let is_public = matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz" | "/version");
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !is_public && !has_certificate && !server.token().matches(authorization) {
        return Ok(response::error(&ApiError::new(401, "Unauthorized", "Unauthorized")));
    }
    Ok(handle(server.state.clone(), request).await)
}

/// Returns whether the Host header names this machine. A web page that resolves its own name to loopback (DNS rebinding)
/// sends its own name.
fn is_loopback_host(request: &Request<Incoming>) -> bool {
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
