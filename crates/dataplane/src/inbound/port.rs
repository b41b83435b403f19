//! One port of the application: the connections to it and the counters of its callers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use meshy_net::SharedNetwork;

use crate::client::{Client, Connector};
use crate::metrics::{HttpScope, Labels, Metrics, TcpScope};

/// One port of the application.
pub(super) struct Port {
    pub(super) client: Client,
    pub(super) addr: SocketAddr,
    callers: Mutex<HashMap<Option<Arc<str>>, Arc<Caller>>>,
}

/// The counters of one identity's requests to one port; callers without an identity share theirs.
pub(super) struct Caller {
    pub(super) connections: Arc<TcpScope>,
    pub(super) requests: Arc<HttpScope>,
    pub(super) probes: Arc<HttpScope>,
    pub(super) client_id: Option<HeaderValue>,
}

impl Port {
    pub(super) fn new(metrics: &Arc<Metrics>, app: SharedNetwork, addr: SocketAddr) -> Self {
        let labels = Labels::new().with("direction", "inbound").with("peer", "dst");
        let labels = labels.with("tls", "no_identity").with("no_tls_reason", "loopback");
        let scope = Arc::new(TcpScope::new(metrics, labels));
        let connector = Connector { network: app, addr, tls: None, scope };
        Self { client: Client::new(connector), addr, callers: Mutex::default() }
    }

    /// Returns the counters of a caller.
    pub(super) fn caller(&self, metrics: &Arc<Metrics>, client_id: Option<Arc<str>>) -> Arc<Caller> {
        let mut callers = self.callers.lock().expect("callers lock");
        let create = || Arc::new(Caller::new(metrics, self.addr, client_id.as_deref()));
        callers.entry(client_id.clone()).or_insert_with(create).clone()
    }
}

impl Caller {
    fn new(metrics: &Arc<Metrics>, addr: SocketAddr, client_id: Option<&str>) -> Self {
        let with_server = |labels: Labels| {
            let labels = labels.with_target(addr);
            let labels = match client_id {
                Some(name) => labels.with("tls", "true").with("client_id", name),
                None => labels.with("tls", "no_identity").with("no_tls_reason", "no_tls_from_remote"),
            };
            let labels = labels.with("srv_group", "").with("srv_kind", "default");
            labels.with("srv_name", "all-unauthenticated").with("srv_port", addr.port())
        };
        let inbound = Labels::new().with("direction", "inbound");
        let connections = with_server(inbound.with("peer", "src"));
        let requests = with_server(inbound).with("route_group", "").with("route_kind", "default");
        let scope = |route: &str, authz: &str| {
            let labels = requests.with("route_name", route);
            let labels = labels.with("authz_group", "").with("authz_kind", "default");
            Arc::new(HttpScope::endpoint(metrics, labels.with("authz_name", authz)))
        };
        Self {
            connections: Arc::new(TcpScope::new(metrics, connections)),
            requests: scope("default", "all-unauthenticated"),
            probes: scope("probe", "probe"),
            client_id: client_id.and_then(|name| HeaderValue::try_from(name).ok()),
        }
    }
}
