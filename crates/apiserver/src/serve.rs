//! HTTPS server on a loopback address.
//!
//! ```text
//!   accept ─ connections: a place among the open ones ─ connection: TLS, time limits ─ authenticate ─ http
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::error::{ApiError, Result};
use crate::server::Server;
use crate::system;
use crate::tls::CertificateAuthority;

mod authenticate;
mod connection;
mod connections;
mod host;
#[cfg(test)]
mod tests;

use connections::{Connections, MAX_CONNECTIONS};

/// The delay after a failed `accept`: a process without free file descriptors cannot retry immediately.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

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
    /// `/livez`, `/readyz` and `/version` need no authentication, as in Kubernetes. A connection is closed 10 s after its
    /// start if no request was received, and after 60 s without a request if no client authenticated on it. If 4,096
    /// connections are open, the oldest one without authentication is closed.
    ///
    /// # Errors
    /// 500 if the address is not a loopback address, or the certificate cannot be created.
    pub fn serve(&self, listener: TcpListener, authority: &CertificateAuthority) -> Result<RunningServer> {
        self.serve_connections(listener, authority, Arc::new(Connections::new(MAX_CONNECTIONS)))
    }

    fn serve_connections(
        &self,
        listener: TcpListener,
        authority: &CertificateAuthority,
        connections: Arc<Connections>,
    ) -> Result<RunningServer> {
        let address = listener.local_addr().map_err(ApiError::internal)?;
        if !address.ip().is_loopback() {
            return Err(ApiError::internal(format!("{address} is not a loopback address")));
        }
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config()?));
        self.state.set_root_certificate(authority.certificate_pem());
        system::publish(&self.state.store, address, authority.certificate_pem());
        let task = tokio::spawn(accept(self.clone(), listener, acceptor, connections));
        Ok(RunningServer { address, task })
    }
}

async fn accept(server: Server, listener: TcpListener, acceptor: TlsAcceptor, connections: Arc<Connections>) {
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Some(place) = connections.open() {
                    let _ = stream.set_nodelay(true);
                    tasks.spawn(connection::serve(server.clone(), stream, acceptor.clone(), place));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Probably out of file descriptors: a connection without authentication must not keep others out.
                connections.close_oldest();
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}
