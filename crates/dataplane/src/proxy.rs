//! A pod's proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use meshy_net::BoxIo;

use crate::admin;
use crate::config::ProxyConfig;
use crate::inbound::Inbound;
use crate::log::{self, ProxyLog};
use crate::metrics::Metrics;
use crate::outbound::Outbound;

/// The proxy of one pod. Clones share everything.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

struct Shared {
    log: Option<ProxyLog>,
    metrics: Arc<Metrics>,
    outbound: Arc<Outbound>,
    inbound: Arc<Inbound>,
}

impl Proxy {
    /// Returns a proxy without connections and with all counters at zero.
    pub fn new(config: ProxyConfig) -> Self {
        let metrics = Arc::new(Metrics::new(config.identity.clone()));
        let outbound = Arc::new(Outbound::new(&config, metrics.clone()));
        let inbound = Arc::new(Inbound::new(&config, metrics.clone()));
        Self(Arc::new(Shared { log: config.log, metrics, outbound, inbound }))
    }

    /// Serves a connection to the pod until it ends. `original` is the address that the caller connected to, `peer` the
    /// caller's own.
    ///
    /// # Errors
    /// When the connection breaks or its handshake fails; the caller of this function has nothing to clean up.
    pub async fn inbound(&self, stream: BoxIo, original: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        log::scope(self.0.log.as_ref(), self.0.inbound.serve(stream, original, peer)).await
    }

    /// Serves a connection that the pod's application opened to `original`, until it ends.
    ///
    /// # Errors
    /// As for [`Proxy::inbound`].
    pub async fn outbound(&self, stream: BoxIo, original: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        log::scope(self.0.log.as_ref(), self.0.outbound.serve(stream, original, peer)).await
    }

    /// Serves a connection to the admin port (4191): `/metrics`, `/ready`, `/live`.
    ///
    /// # Errors
    /// As for [`Proxy::inbound`].
    pub async fn admin(&self, stream: BoxIo) -> io::Result<()> {
        admin::serve(&self.0.metrics, stream).await
    }
}
