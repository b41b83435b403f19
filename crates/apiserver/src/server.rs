//! The server.

use std::sync::Arc;

use serde_json::Value;

use crate::auth::Token;
use crate::error::{ApiError, Result};
use crate::http::Service;
use crate::local::LocalClient;
use crate::state::{Options, ServerState};
use crate::store::Store;
use crate::system;

/// A Kubernetes API server. Clones share one state.
#[derive(Clone)]
pub struct Server {
    pub(crate) state: Arc<ServerState>,
}

impl Server {
    /// Returns a server with the default namespaces and the Service `kubernetes`.
    pub fn new(options: Options) -> Self {
        let server = Self { state: Arc::new(ServerState::new(options, Store::new())) };
        system::create(&server.state.store);
        server
    }

    /// Returns a server with the state of a [`Server::snapshot`].
    ///
    /// # Errors
    /// 400 if the bytes are not a snapshot, or have an unsupported format.
    pub fn restore(options: Options, snapshot: &[u8]) -> Result<Self> {
        let document: Value = serde_json::from_slice(snapshot)
            .map_err(|error| ApiError::bad_request(format!("cannot decode the snapshot: {error}")))?;
        let store = Store::restore(document).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let server = Self { state: Arc::new(ServerState::new(options, store)) };
        system::create(&server.state.store);
        Ok(server)
    }

    /// Returns all objects as JSON for [`Server::restore`]. They contain secrets: write the file with mode 0600.
    pub fn snapshot(&self) -> Vec<u8> {
        self.state.store.snapshot().to_string().into_bytes()
    }

    /// Returns the API as a tower service, for hyper and `kube::Client::new`. Its requests are not authenticated.
    pub fn service(&self) -> Service {
        Service::new(self.state.clone())
    }

    /// Returns an in-process client for controllers.
    pub fn client(&self) -> LocalClient {
        LocalClient::new(self.state.clone())
    }

    /// Returns the revision of the last write.
    pub fn revision(&self) -> u64 {
        self.state.store.revision()
    }

    /// Returns the bearer token.
    pub fn token(&self) -> &Token {
        &self.state.token
    }
}
