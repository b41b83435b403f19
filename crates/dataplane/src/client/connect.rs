//! Opening a connection, with TLS if the endpoint has an identity.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meshy_net::SharedNetwork;
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::ProxyError;
use crate::identity::Identity;
use crate::metrics::TcpScope;
use crate::transport::{Rewind, Stream, Transport};

/// How long opening a connection may take, TLS included; Linkerd's default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens connections to one address.
pub(crate) struct Connector {
    pub(crate) network: SharedNetwork,
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) scope: Arc<TcpScope>,
}

/// The identities of both sides.
pub(crate) struct Tls {
    /// This proxy's identity; each handshake uses the current value.
    pub(crate) identity: watch::Receiver<Identity>,
    pub(crate) server: ServerName<'static>,
}

impl Connector {
    pub(crate) async fn connect(&self) -> Result<Transport, ProxyError> {
        let opened = timeout(CONNECT_TIMEOUT, self.open()).await;
        let stream = opened.map_err(|_| ProxyError::ConnectTimeout(CONNECT_TIMEOUT))??;
        tracing::trace!(addr = %self.addr, tls = self.tls.is_some(), "connection opened");
        Ok(Transport::new(stream, self.scope.clone()))
    }

    async fn open(&self) -> io::Result<Stream> {
        let io = self.network.connect(self.addr).await?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(Rewind::new(io))) };
        let config = tls.identity.borrow().client.clone();
        Ok(Stream::Opened(Box::new(TlsConnector::from(config).connect(tls.server.clone(), io).await?)))
    }
}
