//! The server.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::Token;
use crate::clock::now;
use crate::error::{ApiError, Result};
use crate::http::Service;
use crate::local::LocalClient;
use crate::state::{Options, ServerState};
use crate::store::{Expect, Key, Store};
use crate::write::uid;

/// A Kubernetes API server. Clones share one state.
#[derive(Clone)]
pub struct Server {
    pub(crate) state: Arc<ServerState>,
}

impl Server {
    /// Returns a server with the default namespaces.
    pub fn new(options: Options) -> Self {
        let server = Self { state: Arc::new(ServerState::new(options, Store::new())) };
        server.create_namespaces();
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
        server.create_namespaces();
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

    fn create_namespaces(&self) {
        let namespaces = self.state.store.collection("namespaces");
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let key = Key::new("", name);
            if namespaces.get(&key).is_none() {
                let value = json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {
                        "name": name, "labels": {"kubernetes.io/metadata.name": name},
                        "uid": uid(), "creationTimestamp": now(),
                    },
                    "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
                });
                // No other write is possible: the server is not returned yet.
                let _ = namespaces.put(key, Expect::Absent, value);
            }
        }
    }
}
