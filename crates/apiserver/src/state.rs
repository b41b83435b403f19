//! The state of a server.

use std::sync::{Arc, Mutex, PoisonError};

use crate::address::ServiceAllocator;
use crate::admission::Admission;
use crate::auth::Token;
use crate::kinds::KindRegistry;
use crate::openapi;
use crate::pods::PodBackend;
use crate::store::Store;
use crate::write::Writer;

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

/// The state that all parts of a server share.
pub(crate) struct ServerState {
    pub(crate) store: Store,
    pub(crate) kinds: KindRegistry,
    pub(crate) version: String,
    pub(crate) token: Token,
    pub(crate) openapi: openapi::Cache,
    pub(crate) pods: Option<Arc<dyn PodBackend>>,
    /// The certificate of the authority as PEM, once the server has a socket.
    root_certificate: Mutex<Option<Arc<str>>>,
    addresses: ServiceAllocator,
    admission: Vec<Arc<dyn Admission>>,
}

impl ServerState {
    /// Returns the state for a store. Registers its definitions and allocates the addresses of its Services.
    pub(crate) fn new(options: Options, store: Store) -> Self {
        let kinds = KindRegistry::new();
        for definition in store.collection("customresourcedefinitions.apiextensions.k8s.io").list(None).0 {
            kinds.add_definition(&definition);
        }
        let addresses = ServiceAllocator::new();
        store.collection("services").list(None).0.iter().for_each(|service| addresses.reserve(service));
        Self {
            store,
            kinds,
            version: options.version,
            token: options.token,
            openapi: openapi::Cache::default(),
            pods: options.pods,
            root_certificate: Mutex::default(),
            addresses,
            admission: options.admission,
        }
    }

    /// Sets the certificate of the authority as PEM, which new namespaces contain.
    pub(crate) fn set_root_certificate(&self, certificate: &str) {
        *self.root_certificate.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate.into());
    }

    /// Returns a writer of this server.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer {
            store: &self.store,
            kinds: &self.kinds,
            addresses: &self.addresses,
            admission: &self.admission,
            root_certificate: self.root_certificate.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
