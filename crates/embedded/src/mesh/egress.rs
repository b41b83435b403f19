//! EgressNetworks: which addresses outside of the cluster the pods of a namespace may call.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use meshy_dataplane::policy::{Egress, EgressNetwork as Network};
use meshy_dataplane::{Endpoint, Target};
use meshy_linkerd::egress::EgressNetwork;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::discovery::{Mesh, key, lock};
use super::inbound::network;
use crate::api::{Change, EGRESS_NETWORKS};
use crate::network::is_cluster_address;

/// The namespace whose EgressNetworks apply to all namespaces.
const GLOBAL_NAMESPACE: &str = "linkerd-egress";

/// The EgressNetworks, and the addresses that proxies watch.
#[derive(Default)]
pub(super) struct EgressIndex {
    networks: BTreeMap<(String, String), EgressNetwork>,
    watched: Vec<WatchedAddress>,
}

struct WatchedAddress {
    namespace: String,
    address: SocketAddr,
    sender: watch::Sender<Arc<Target>>,
}

/// Follows the EgressNetworks.
pub(super) fn start(mesh: &Arc<Mesh>, tasks: &mut JoinSet<()>) {
    let (mesh, mut changes) = (mesh.clone(), mesh.api().watch_json(EGRESS_NETWORKS));
    tasks.spawn(async move {
        while let Some(change) = changes.next().await {
            let key = key(change.object());
            let parsed = match &change {
                Change::Applied(object) => EgressNetwork::from_value(object)
                    .inspect_err(|error| tracing::warn!(name = key.1, %error, "EgressNetwork ignored"))
                    .ok(),
                Change::Deleted(_) => None,
            };
            lock(mesh.egress()).set(key, parsed);
        }
    });
}

impl EgressIndex {
    /// Watches the target of an address for the clients of a namespace; `None` for an address of the cluster.
    pub(super) fn watch(
        &mut self,
        namespace: &str,
        address: SocketAddr,
    ) -> Option<watch::Receiver<Arc<Target>>> {
        if is_cluster_address(address.ip()) {
            return None;
        }
        let endpoint = Endpoint { addr: address, identity: None, labels: Vec::new() };
        let target = Target {
            authority: None,
            service: None,
            egress: Some(self.find(namespace, address)),
            profile: None,
            policy: Arc::default(),
            endpoints: watch::channel(Arc::from([endpoint])).1,
            opaque: false,
        };
        let sender = watch::Sender::new(Arc::new(target));
        let receiver = sender.subscribe();
        self.watched.retain(|watched| !watched.sender.is_closed());
        self.watched.push(WatchedAddress { namespace: namespace.to_owned(), address, sender });
        Some(receiver)
    }

    fn set(&mut self, key: (String, String), network: Option<EgressNetwork>) {
        match network {
            Some(network) => drop(self.networks.insert(key, network)),
            None => drop(self.networks.remove(&key)),
        }
        self.watched.retain(|watched| !watched.sender.is_closed());
        for WatchedAddress { namespace, address, sender } in &self.watched {
            let egress = Some(self.find(namespace, *address));
            sender.send_if_modified(|target| {
                let changed = target.egress != egress;
                if changed {
                    *target = Arc::new(Target { egress, ..Target::clone(target) });
                }
                changed
            });
        }
    }

    /// Returns the EgressNetwork of an address: of the client's namespace, else of the global one.
    fn find(&self, namespace: &str, address: SocketAddr) -> Egress {
        let of = |wanted: &str| {
            let mut all = self.networks.iter().filter(|((namespace, _), _)| namespace == wanted);
            all.find(|(_, found)| contains(found, address.ip()))
        };
        match of(namespace).or_else(|| of(GLOBAL_NAMESPACE)) {
            None => Egress::Fallback,
            Some(((namespace, name), found)) => Egress::Network(Network {
                namespace: namespace.clone(),
                name: name.clone(),
                port: address.port(),
                allow: found.allow,
            }),
        }
    }
}

fn contains(found: &EgressNetwork, address: IpAddr) -> bool {
    let networks = found.networks.iter().filter_map(|one| network(&one.cidr, &one.except));
    found.networks.is_empty() || networks.into_iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_network_of_the_clients_namespace_precedes_the_global_one() {
        let mut index = EgressIndex::default();
        let network = |policy: &str, cidr: &str| {
            EgressNetwork::from_value(
                &json!({ "spec": { "trafficPolicy": policy, "networks": [{ "cidr": cidr }] } }),
            )
            .expect("a valid network")
        };
        let key = |namespace: &str| (namespace.to_owned(), "all".to_owned());
        index.set(key(GLOBAL_NAMESPACE), Some(network("Deny", "0.0.0.0/0")));
        index.set(key("shop"), Some(network("Allow", "198.51.100.0/24")));
        let allows = |namespace: &str, address: &str| match index
            .find(namespace, address.parse().expect("an address"))
        {
            Egress::Network(found) => Some(found.allow),
            Egress::Fallback => None,
        };
        assert_eq!(allows("shop", "198.51.100.7:80"), Some(true));
        assert_eq!(allows("shop", "203.0.113.1:80"), Some(false));
        assert_eq!(allows("other", "198.51.100.7:80"), Some(false));
        assert_eq!(allows("other", "[2001:db8::1]:80"), None);
    }
}
