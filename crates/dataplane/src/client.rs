//! Requests to one address: connections are opened, kept and shared.

mod connect;
mod h1;
mod h2;

use std::sync::Arc;

use http::{Request, Version};

pub(crate) use connect::{Connector, Tls};

use crate::body::{BoxResponse, RequestBody};
use crate::error::ProxyError;
use crate::transport::Transport;

/// The connections to one address.
pub(crate) struct Client {
    connector: Arc<Connector>,
    h1: Arc<h1::Pool>,
    h2: h2::SharedConnection,
}

impl Client {
    pub(crate) fn new(connector: Connector) -> Self {
        let connector = Arc::new(connector);
        let (h1, h2) = (h1::Pool::new(connector.clone()), h2::SharedConnection::new(connector.clone()));
        Self { connector, h1, h2 }
    }

    /// Sends a request with the HTTP version that it arrived with.
    pub(crate) async fn send(&self, request: Box<Request<RequestBody>>) -> Result<BoxResponse, ProxyError> {
        if request.version() == Version::HTTP_2 {
            self.h2.send(request).await
        } else {
            self.h1.send(request).await
        }
    }

    /// Opens a connection for bytes that are not HTTP.
    pub(crate) async fn open(&self) -> Result<Transport, ProxyError> {
        self.connector.connect().await
    }
}
