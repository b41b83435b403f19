//! Services as kube-proxy and the cluster DNS see them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A Service with its ready endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceEntry {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The cluster IP; `None` for a headless Service.
    pub(crate) cluster_ip: Option<Ipv4Addr>,
    pub(crate) ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServicePort {
    /// The port of the Service, not of its pods.
    pub(crate) port: u16,
    /// The name of the port; empty if it has none.
    pub(crate) name: String,
    /// Ready endpoints: pod addresses with the target port.
    pub(crate) endpoints: Vec<SocketAddr>,
}

impl ServiceEntry {
    /// Returns the addresses of a DNS lookup: the cluster IP, or each endpoint of a headless Service.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        if let Some(address) = self.cluster_ip {
            return vec![address.into()];
        }
        let mut all: Vec<_> =
            self.ports.iter().flat_map(|port| port.endpoints.iter().map(SocketAddr::ip)).collect();
        all.sort();
        all.dedup();
        all
    }
}
