//! Requests to one address: connections opened, kept and shared.

mod connect;
mod h1;
mod h2;

use http::{Request, Version};

pub(crate) use connect::{Connector, Security};

use crate::body::{Answer, RequestBody};
use crate::error::ProxyError;

/// The connections to one address.
pub(crate) struct Client {
    h1: std::sync::Arc<h1::Pool>,
    h2: h2::Shared,
}

impl Client {
    pub(crate) fn new(connector: Connector) -> Self {
        let connector = std::sync::Arc::new(connector);
        Self { h1: h1::Pool::new(connector.clone()), h2: h2::Shared::new(connector) }
    }

    /// Sends a request in the version it came in.
    pub(crate) async fn send(&self, request: Box<Request<RequestBody>>) -> Result<Answer, ProxyError> {
        if request.version() == Version::HTTP_2 {
            self.h2.send(request).await
        } else {
            self.h1.send(request).await
        }
    }

    /// Opens a connection of its own, for bytes that pass uninspected.
    pub(crate) async fn open(&self) -> Result<crate::transport::Transport, ProxyError> {
        self.h1.connector().connect().await
    }
}
