//! What all stages of the outbound proxy share.

use std::sync::Arc;

use meshy_net::SharedNetwork;
use tokio::sync::watch;

use crate::budget::DecisionLog;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::target::Discovery;

/// What all stages of the outbound proxy share.
pub(crate) struct Context {
    pub(crate) network: SharedNetwork,
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) identity: Option<watch::Receiver<Identity>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) linkerd_discovery_cache: bool,
    pub(crate) budget_log: Option<DecisionLog>,
}
