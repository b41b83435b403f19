//! Opening a connection, with TLS where the endpoint has an identity.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use meshy_net::SharedNetwork;
use rustls_pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::ProxyError;
use crate::identity::Identity;
use crate::metrics::TcpScope;
use crate::transport::{Rewind, Stream, Transport};

/// How long opening a connection may take, TLS included; Linkerd's default.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// What a connection is made of.
pub(crate) struct Connector {
    pub(crate) network: SharedNetwork,
    pub(crate) addr: SocketAddr,
    pub(crate) security: Option<Security>,
    pub(crate) scope: Arc<TcpScope>,
}

/// Both sides' identities.
pub(crate) struct Security {
    /// The own identity of the moment; read at each handshake so that a new certificate is used at once.
    pub(crate) own: Arc<RwLock<Option<Identity>>>,
    pub(crate) peer: ServerName<'static>,
}

impl Connector {
    pub(crate) async fn connect(&self) -> Result<Transport, ProxyError> {
        let stream =
            timeout(CONNECT, self.open()).await.map_err(|_| ProxyError::ConnectTimeout(CONNECT))??;
        Ok(Transport::new(stream, self.scope.clone()))
    }

    async fn open(&self) -> io::Result<Stream> {
        let io = self.network.connect(self.addr).await?;
        let identity = self.security.as_ref().and_then(|security| {
            let own = security.own.read().expect("identity lock");
            own.as_ref().map(|own| (own.client.clone(), security.peer.clone()))
        });
        let Some((config, peer)) = identity else {
            return Ok(Stream::Plain(Rewind { head: Bytes::new(), io }));
        };
        Ok(Stream::Opened(Box::new(TlsConnector::from(config).connect(peer, io).await?)))
    }
}
