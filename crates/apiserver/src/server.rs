//! The server as its holder sees it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::Core;
use crate::store::{Expect, Key, Store};
use crate::{Admission, ApiError, Local, PodBackend, Result, Service, Token};

/// What a server is made with.
pub struct Options {
    /// The version it reports, as `v1.35.0`.
    pub version: String,
    /// What a client shows to be let in over a socket.
    pub token: Token,
    /// Hooks in the path of writes, in order.
    pub admission: Vec<Arc<dyn Admission>>,
    /// Where pods run; without it logs and port-forward answer 503.
    pub pods: Option<Arc<dyn PodBackend>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: "v1.35.0".to_owned(), token: Token::random(), admission: Vec::new(), pods: None }
    }
}

/// A Kubernetes API. Cheap to clone; all clones are one server.
#[derive(Clone)]
pub struct Server {
    pub(crate) core: Arc<Core>,
}

impl Server {
    /// A server with the namespaces every cluster has.
    pub fn new(options: Options) -> Self {
        let server = Self { core: Arc::new(Core::new(options, Store::new())) };
        server.create_namespaces();
        server
    }

    /// A server that goes on where [`Server::snapshot`] stopped.
    ///
    /// # Errors
    /// When the bytes are no snapshot, or of a format this program does not read.
    pub fn restore(options: Options, snapshot: &[u8]) -> Result<Self> {
        let document: Value = serde_json::from_slice(snapshot)
            .map_err(|error| ApiError::bad_request(format!("cannot read the snapshot: {error}")))?;
        let store = Store::restore(document).map_err(ApiError::bad_request)?;
        let server = Self { core: Arc::new(Core::new(options, store)) };
        server.core.reclaim_addresses();
        server.create_namespaces();
        Ok(server)
    }

    /// Everything stored, for [`Server::restore`]. Holds secrets: keep it where only the user can read.
    pub fn snapshot(&self) -> Vec<u8> {
        self.core.store.snapshot().to_string().into_bytes()
    }

    /// The API as a tower service, for hyper and for `kube::Client::new`. Whoever holds it is administrator.
    pub fn service(&self) -> Service {
        Service::new(self.core.clone())
    }

    /// The API by function calls, for controllers in this process.
    pub fn store(&self) -> Local {
        Local::new(self.core.clone())
    }

    /// Adds a hook in the path of writes, after those before it.
    pub fn add_admission(&self, hook: Arc<dyn Admission>) {
        self.core.add_hook(hook);
    }

    /// Says where pods run.
    pub fn set_pods(&self, backend: Arc<dyn PodBackend>) {
        self.core.set_pods(backend);
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.core.store.revision()
    }

    /// What a client shows to be let in.
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
                // Nobody else can have made it: the server is not handed out yet.
                let _ = namespaces.put(key, Expect::Absent, value);
            }
        }
    }
}
