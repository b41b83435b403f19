//! What kube-proxy and the cluster's DNS know of a Service.

use std::net::{Ipv4Addr, SocketAddr};

/// A Service and where its traffic may go now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEntry {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// Its virtual address; none for a headless Service.
    pub cluster_ip: Option<Ipv4Addr>,
    /// Its ports with their ready endpoints.
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// The Service's port.
    pub port: u16,
    /// The port's name; empty when it has none.
    pub name: String,
    /// Ready endpoints: pod addresses with the target port.
    pub endpoints: Vec<SocketAddr>,
}

impl ServiceEntry {
    /// The addresses a name lookup gives: the virtual one, or each endpoint of a headless Service.
    pub(crate) fn addresses(&self) -> Vec<std::net::IpAddr> {
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
