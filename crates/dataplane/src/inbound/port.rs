//! One port of the application: the connections to it and the policy for its callers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use meshy_net::SharedNetwork;
use tokio::sync::watch;

use super::access::Access;
use crate::client::{Client, Connector};
use crate::metrics::{Labels, Metrics, TcpScope};
use crate::policy::InboundPolicy;

/// One port of the application.
pub(super) struct Port {
    pub(super) client: Client,
    pub(super) addr: SocketAddr,
    policy: watch::Receiver<Arc<InboundPolicy>>,
    access: Mutex<Arc<Access>>,
}

impl Port {
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        app: SharedNetwork,
        addr: SocketAddr,
        policy: watch::Receiver<Arc<InboundPolicy>>,
    ) -> Self {
        let labels = Labels::new().with("direction", "inbound").with("peer", "dst");
        let labels = labels.with("tls", "no_identity").with("no_tls_reason", "loopback");
        let scope = Arc::new(TcpScope::new(metrics, labels));
        let connector = Connector { network: app, addr, tls: None, scope };
        let access = Access::new(addr, policy.borrow().clone(), None);
        Self { client: Client::new(connector), addr, policy, access: Mutex::new(Arc::new(access)) }
    }

    /// Returns the current policy if it is not `known`.
    pub(super) fn newer_access(&self, known: &Access) -> Option<Arc<Access>> {
        let changed = !Arc::ptr_eq(&self.policy.borrow(), &known.policy);
        changed.then(|| self.access())
    }

    /// Returns the current policy with its callers.
    pub(super) fn access(&self) -> Arc<Access> {
        let policy = self.policy.borrow().clone();
        let mut access = self.access.lock().expect("policy lock");
        if !Arc::ptr_eq(&access.policy, &policy) {
            *access = Arc::new(Access::new(self.addr, policy, Some(&access)));
        }
        access.clone()
    }
}
