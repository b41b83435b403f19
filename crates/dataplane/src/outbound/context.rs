//! What all stages of the outbound proxy share.

use std::net::IpAddr;
use std::sync::Arc;

use meshy_net::SharedNetwork;
use tokio::sync::watch;

use crate::budget::DecisionLog;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::target::{Discovery, Endpoint};

/// What all stages of the outbound proxy share.
pub(crate) struct Context {
    pub(crate) network: SharedNetwork,
    pub(crate) discovery: Arc<dyn Discovery>,
    /// The address of the proxy's pod.
    pub(crate) address: Option<IpAddr>,
    pub(crate) identity: Option<watch::Receiver<Identity>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) linkerd_discovery_cache: bool,
    pub(crate) budget_log: Option<DecisionLog>,
}

impl Context {
    /// Whether an endpoint is the proxy's own pod.
    pub(crate) fn is_own_address(&self, endpoint: &Endpoint) -> bool {
        self.address == Some(endpoint.addr.ip())
    }
}
