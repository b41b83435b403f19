//! A pod's proxy: its configuration and its four doors.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use meshy_net::{BoxIo, SharedNetwork};

use crate::admin;
use crate::budget::DecisionLog;
use crate::identity::Identity;
use crate::inbound::Inbound;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::target::Discovery;

/// How a pod is meshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Requests go where the application connected to.
    #[default]
    Enabled,
    /// `linkerd.io/inject: ingress`: requests go where `l5d-dst-override` says, else where the ingress connected to.
    Ingress,
}

/// A path that the kubelet asks for: its requests are told apart in the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The container's port.
    pub port: u16,
    /// The path without query.
    pub path: String,
}

/// What a proxy needs to know.
#[derive(Clone)]
pub struct ProxyConfig {
    /// How the pod is meshed.
    pub mode: Mode,
    /// Reaches other pods, past any proxy of this one.
    pub network: SharedNetwork,
    /// Reaches the application of this pod at the address a caller asked for.
    pub app: SharedNetwork,
    /// Tells what stands behind a destination.
    pub discovery: Arc<dyn Discovery>,
    /// The pod's mesh identity; `None` speaks and accepts plain text only.
    pub identity: Option<Identity>,
    /// Keeps Linkerd's rule that whether a service follows its profile is decided when it is discovered, and stays
    /// until its discovery was idle for 5 s. Off, a profile is followed as soon as it is told.
    pub like_linkerd: bool,
    /// The application's ports whose bytes pass uninspected.
    pub opaque_ports: Vec<u16>,
    /// Paths the kubelet probes.
    pub probes: Vec<Probe>,
    /// Whether answers made up here say why in `l5d-proxy-error`.
    pub error_headers: bool,
    /// Is told every decision of every retry budget.
    pub budget_log: Option<DecisionLog>,
}

impl ProxyConfig {
    /// An ordinary proxy without an identity; the rest is Linkerd's default.
    pub fn new(network: SharedNetwork, app: SharedNetwork, discovery: Arc<dyn Discovery>) -> Self {
        Self {
            mode: Mode::Enabled,
            network,
            app,
            discovery,
            identity: None,
            like_linkerd: false,
            opaque_ports: Vec::new(),
            probes: Vec::new(),
            error_headers: true,
            budget_log: None,
        }
    }
}

/// The proxy of one pod. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) config: ProxyConfig,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) inbound: Arc<Inbound>,
    identity: Arc<RwLock<Option<Identity>>>,
}

impl Proxy {
    /// A proxy with no connection and every counter at nought.
    pub fn new(config: ProxyConfig) -> Self {
        let metrics = Arc::new(Metrics::new());
        let identity = Arc::new(RwLock::new(config.identity.clone()));
        let outbound = Arc::new(Outbound::new(&config, metrics.clone(), identity.clone()));
        let inbound = Arc::new(Inbound::new(&config, metrics.clone(), identity.clone()));
        Self(Arc::new(Shared { config, metrics, outbound, inbound, identity }))
    }

    /// Serves one connection that came in for the pod, until it ends.
    ///
    /// `original` is the address the caller asked for, `peer` the caller's.
    ///
    /// # Errors
    /// When the connection breaks or its handshake fails; nothing is left to do then.
    pub async fn inbound(&self, stream: BoxIo, original: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        self.0.inbound.serve(stream, original, peer).await
    }

    /// Serves one connection that the pod's application opened to `original`, until it ends.
    ///
    /// # Errors
    /// As for [`Proxy::inbound`].
    pub async fn outbound(&self, stream: BoxIo, original: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        self.0.outbound.serve(stream, original, peer).await
    }

    /// Serves one connection to the admin port (4191): `/metrics`, `/ready`, `/live`.
    ///
    /// # Errors
    /// As for [`Proxy::inbound`].
    pub async fn admin(&self, stream: BoxIo) -> io::Result<()> {
        admin::serve(&self.0.metrics, stream).await
    }

    /// The metrics in Prometheus' text form, as served on the admin port.
    pub fn metrics_text(&self) -> String {
        self.0.metrics.render()
    }

    /// Uses another certificate from the next handshake on.
    pub fn set_identity(&self, identity: Option<Identity>) {
        *self.0.identity.write().expect("identity lock") = identity;
    }

    /// What the proxy was made with.
    pub fn config(&self) -> &ProxyConfig {
        &self.0.config
    }
}
