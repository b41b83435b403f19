//! The configuration of a proxy.

use std::net::IpAddr;
use std::sync::Arc;

use meshy_net::SharedNetwork;
use tokio::sync::watch;

use crate::budget::DecisionLog;
use crate::identity::Identity;
use crate::log::ProxyLog;
use crate::policy::InboundPolicies;
use crate::target::Discovery;

/// How a pod is meshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Requests go to the address that the application connected to.
    #[default]
    Enabled,
    /// `linkerd.io/inject: ingress`: requests go to the service in `l5d-dst-override`, without the header to the address
    /// that the ingress connected to.
    Ingress,
}

/// A path that the kubelet probes; its requests have their own series in the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The container's port.
    pub port: u16,
    /// The path without query.
    pub path: String,
}

/// The configuration of a proxy.
#[derive(Clone)]
pub struct ProxyConfig {
    /// How the pod is meshed.
    pub mode: Mode,
    /// Connects to other pods, not through a proxy of this one.
    pub network: SharedNetwork,
    /// Connects to the application of this pod at the address that a caller connected to.
    pub app: SharedNetwork,
    /// The pod's own address: connections to it have no TLS, because no proxy accepts them. `None` if it is not known.
    pub address: Option<IpAddr>,
    /// Finds the target of a destination.
    pub discovery: Arc<dyn Discovery>,
    /// The pod's mesh identity; each handshake uses the current value. `None` opens and accepts plain text only.
    pub identity: Option<watch::Receiver<Identity>>,
    /// Decides when a service is discovered whether its profile is followed, and keeps that decision until the discovery
    /// was idle for 5 s, as Linkerd does. If `false`, the next request follows a new profile.
    pub linkerd_discovery_cache: bool,
    /// The application's ports whose connections are forwarded without protocol detection.
    pub opaque_ports: Vec<u16>,
    /// The policies of the application's ports. `None` allows every caller.
    pub inbound_policies: Option<Arc<dyn InboundPolicies>>,
    /// The paths that the kubelet probes.
    pub probes: Vec<Probe>,
    /// Whether synthesized error responses carry their reason in `l5d-proxy-error`.
    pub error_headers: bool,
    /// Receives every decision of every retry budget.
    pub budget_log: Option<DecisionLog>,
    /// The proxy's own log. If `None`, its events go to the process's subscriber.
    pub log: Option<ProxyLog>,
}

impl ProxyConfig {
    /// Returns a configuration without an identity and with Linkerd's defaults.
    pub fn new(network: SharedNetwork, app: SharedNetwork, discovery: Arc<dyn Discovery>) -> Self {
        Self {
            mode: Mode::Enabled,
            network,
            app,
            address: None,
            discovery,
            identity: None,
            linkerd_discovery_cache: false,
            opaque_ports: Vec::new(),
            inbound_policies: None,
            probes: Vec::new(),
            error_headers: true,
            budget_log: None,
            log: None,
        }
    }
}
