//! HTTP on 127.0.0.1. Only those who know the token of the URL get anything, and only from this page's origin.

mod guard;
mod respond;
mod stream;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::control::Controls;
use crate::hub::Hub;
use crate::report::Reporter;
use crate::save;
use guard::Guard;
use respond::Site;

/// Connections at the same time. A browser opens at most six; more wait.
const CONNECTIONS: usize = 96;

/// How long a client may take to send its request head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The page's server.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    site: Arc<Site>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1. Without `controls` the page only shows a run, with its report, and there is no speaker's
    /// page.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn bind(
        hub: Arc<Hub>,
        controls: Option<Arc<dyn Controls>>,
        reporter: Reporter,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        // A run that goes on has no report yet.
        let recorded = controls.is_none().then(|| save::served(&hub, reporter).into());
        let site = Arc::new(Site { guard: Guard::new(addr.port()), hub, controls, reporter, recorded });
        Ok(Self { listener, addr, site })
    }

    /// Returns the address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the URL with the token. It is valid until the server ends, in any number of browsers.
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.addr, self.site.guard.token())
    }

    /// Returns a URL with a token for one request, for places that others can read, such as the list of processes.
    pub fn url_for_once(&self) -> String {
        format!("http://{}/?token={}", self.addr, self.site.guard.token_for_once())
    }

    /// Serves until the future is dropped.
    pub async fn serve(self) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors: wait for one to be closed instead of spinning.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let site = self.site.clone();
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(|request| {
                    let site = site.clone();
                    async move { Ok::<_, Infallible>(respond::respond(&site, request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIME)
                    .max_buf_size(64 * 1024)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!("a viewer's connection ended: {error}");
                }
            });
        }
    }
}
