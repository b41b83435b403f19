//! The server and its options.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::Core;
use crate::store::{Expect, Key, Store};
use crate::{Admission, ApiError, LocalClient, PodBackend, Result, Service, Token};

/// Options of a server.
pub struct Options {
    /// Reported Kubernetes version, for example `v1.35.0`.
    pub version: String,
    /// Bearer token of clients that connect over a socket.
    pub token: Token,
    /// Admission hooks, called in this order.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Backend for logs, proxy and port-forward of pods; without it these requests return 503.
    pub pods: Option<Arc<dyn PodBackend>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: "v1.35.0".to_owned(), token: Token::random(), admission: Vec::new(), pods: None }
    }
}

/// A Kubernetes API server. Clones share one state.
#[derive(Clone)]
pub struct Server {
    pub(crate) core: Arc<Core>,
}

impl Server {
    /// Returns a server with the default namespaces.
    pub fn new(options: Options) -> Self {
        let server = Self { core: Arc::new(Core::new(options, Store::new())) };
        server.create_namespaces();
        server
    }

    /// Returns a server with the state of a [`Server::snapshot`].
    ///
    /// # Errors
    /// 400 if the bytes are not a snapshot, or have an unsupported format.
    pub fn restore(options: Options, snapshot: &[u8]) -> Result<Self> {
        let document: Value = serde_json::from_slice(snapshot)
            .map_err(|error| ApiError::bad_request(format!("cannot read the snapshot: {error}")))?;
        let store = Store::restore(document).map_err(ApiError::bad_request)?;
        let server = Self { core: Arc::new(Core::new(options, store)) };
        server.core.reserve_addresses();
        server.create_namespaces();
        Ok(server)
    }

    /// Returns all objects as JSON for [`Server::restore`]. They contain secrets: write the file with mode 0600.
    pub fn snapshot(&self) -> Vec<u8> {
        self.core.store.snapshot().to_string().into_bytes()
    }

    /// Returns the API as a tower service, for hyper and `kube::Client::new`. Its requests are not authenticated.
    pub fn service(&self) -> Service {
        Service::new(self.core.clone())
    }

    /// Returns an in-process client for controllers.
    pub fn client(&self) -> LocalClient {
        LocalClient::new(self.core.clone())
    }

    /// Adds an admission hook after the existing ones.
    pub fn add_admission(&self, hook: Arc<dyn Admission>) {
        self.core.add_hook(hook);
    }

    /// Sets the backend for pods.
    pub fn set_pods(&self, backend: Arc<dyn PodBackend>) {
        self.core.set_pods(backend);
    }

    /// Returns the revision of the last write.
    pub fn revision(&self) -> u64 {
        self.core.store.revision()
    }

    /// Returns the bearer token.
    pub fn token(&self) -> &Token {
        &self.core.token
    }

    fn create_namespaces(&self) {
        let namespaces = self.core.store.collection("namespaces");
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let key = Key::new("", name);
            if namespaces.get(&key).is_none() {
                let value = json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {
                        "name": name, "labels": {"kubernetes.io/metadata.name": name},
                        "uid": crate::write::uid(), "creationTimestamp": crate::write::now(),
                    },
                    "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
                });
                // No other write is possible: the server is not returned yet.
                let _ = namespaces.put(key, Expect::Absent, value);
            }
        }
    }
}
