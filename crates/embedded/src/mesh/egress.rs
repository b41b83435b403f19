//! EgressNetworks: which addresses outside of the cluster the pods of a namespace may call.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use meshy_dataplane::policy::{Egress as Parent, EgressNetwork as Network, Policy};
use meshy_dataplane::{Endpoint, Target};
use meshy_linkerd::egress::EgressNetwork;
use meshy_linkerd::policy::Annotations;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::inbound::network;
use super::policy;
use super::route_index::{RouteIndex, SharedRoutes};
use super::routes::{ParentKey, ParentKind};
use super::shared::{key, lock};
use crate::api::{Api, Change, EGRESS_NETWORKS};
use crate::network::is_cluster_address;
use crate::task;

/// The namespace whose EgressNetworks apply to all namespaces.
const GLOBAL_NAMESPACE: &str = "linkerd-egress";

/// What concerns requests to addresses outside of the cluster.
pub(super) struct Egress {
    api: Api,
    routes: SharedRoutes,
    index: Mutex<Index>,
}

/// The EgressNetworks, and the addresses that proxies watch.
#[derive(Default)]
struct Index {
    networks: BTreeMap<(String, String), Annotated>,
    watched: Vec<WatchedAddress>,
}

/// An EgressNetwork with its annotations.
struct Annotated {
    network: EgressNetwork,
    annotations: Annotations,
}

struct WatchedAddress {
    namespace: String,
    address: SocketAddr,
    sender: watch::Sender<Arc<Target>>,
}

impl Egress {
    pub(super) fn new(api: Api, routes: SharedRoutes) -> Arc<Self> {
        Arc::new(Self { api, routes, index: Mutex::default() })
    }

    /// Follows the EgressNetworks.
    pub(super) fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let (egress, mut changes) = (self.clone(), self.api.watch_json(EGRESS_NETWORKS));
        task::start(tasks, async move {
            while let Some(change) = changes.next().await {
                let key = key(change.object());
                let parsed = match &change {
                    Change::Applied(object) => EgressNetwork::from_value(object)
                        .inspect_err(|error| tracing::warn!(name = key.1, %error, "EgressNetwork ignored"))
                        .map(|network| {
                            let annotations = object.pointer("/metadata/annotations");
                            let annotations = annotations.and_then(|map| Annotations::deserialize(map).ok());
                            Annotated { network, annotations: annotations.unwrap_or_default() }
                        })
                        .ok(),
                    Change::Deleted(_) => None,
                };
                lock(&egress.index).set(key, parsed);
                egress.refresh();
            }
        });
    }

    /// Watches the target of an address for the clients of a namespace; `None` for an address of the cluster.
    pub(super) fn watch(&self, namespace: &str, address: SocketAddr) -> Option<watch::Receiver<Arc<Target>>> {
        if is_cluster_address(address.ip()) {
            return None;
        }
        let mut index = lock(&self.index);
        let (egress, policy) = index.find(&lock(&self.routes), namespace, address);
        let endpoint = Endpoint { addr: address, identity: None, labels: Vec::new() };
        let target = Target {
            authority: None,
            service: None,
            egress: Some(egress),
            profile: None,
            policy: Arc::new(policy),
            endpoints: watch::channel(Arc::from([endpoint])).1,
            opaque: false,
        };
        let sender = watch::Sender::new(Arc::new(target));
        let receiver = sender.subscribe();
        index.watched.retain(|watched| !watched.sender.is_closed());
        index.watched.push(WatchedAddress { namespace: namespace.to_owned(), address, sender });
        Some(receiver)
    }

    /// Sends changed networks and routes to the proxies.
    pub(super) fn refresh(&self) {
        let mut index = lock(&self.index);
        index.watched.retain(|watched| !watched.sender.is_closed());
        let routes = lock(&self.routes);
        for WatchedAddress { namespace, address, sender } in &index.watched {
            let (egress, policy) = index.find(&routes, namespace, *address);
            sender.send_if_modified(|target| {
                let changed = target.egress.as_ref() != Some(&egress) || *target.policy != policy;
                if changed {
                    let policy = Arc::new(policy);
                    *target = Arc::new(Target { egress: Some(egress), policy, ..Target::clone(target) });
                }
                changed
            });
        }
    }
}

impl Index {
    fn set(&mut self, key: (String, String), network: Option<Annotated>) {
        match network {
            Some(network) => drop(self.networks.insert(key, network)),
            None => drop(self.networks.remove(&key)),
        }
    }

    /// Returns the EgressNetwork of an address, of the client's namespace or else of the global one, and its policy.
    fn find(&self, routes: &RouteIndex, client_namespace: &str, address: SocketAddr) -> (Parent, Policy) {
        let of = |wanted: &str| {
            let mut all = self.networks.iter().filter(|((namespace, _), _)| namespace == wanted);
            all.find(|(_, found)| contains(&found.network, address.ip()))
        };
        let Some(((namespace, name), found)) = of(client_namespace).or_else(|| of(GLOBAL_NAMESPACE)) else {
            return (Parent::Fallback, Policy::default());
        };
        let (namespace, name) = (namespace.clone(), name.clone());
        let key =
            ParentKey { kind: ParentKind::EgressNetwork, namespace: namespace.clone(), name: name.clone() };
        let policy = Policy {
            retry: policy::retry(&found.annotations),
            grpc_retry: policy::grpc_retry(&found.annotations),
            timeouts: policy::timeouts(&found.annotations),
            failure_accrual: policy::failure_accrual(&found.annotations),
            load_bias: None,
            routes: routes.outbound(&key, address.port(), client_namespace),
        };
        let network = Network { namespace, name, port: address.port(), allow: found.network.allow };
        (Parent::Network(network), policy)
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
        let mut index = Index::default();
        let network = |policy: &str, cidr: &str| {
            let object = json!({ "spec": { "trafficPolicy": policy, "networks": [{ "cidr": cidr }] } });
            let network = EgressNetwork::from_value(&object).expect("a valid network");
            Annotated { network, annotations: Annotations::default() }
        };
        let key = |namespace: &str| (namespace.to_owned(), "all".to_owned());
        index.set(key(GLOBAL_NAMESPACE), Some(network("Deny", "0.0.0.0/0")));
        index.set(key("shop"), Some(network("Allow", "198.51.100.0/24")));
        let allows = |namespace: &str, address: &str| {
            let address = address.parse().expect("an address");
            match index.find(&RouteIndex::default(), namespace, address).0 {
                Parent::Network(found) => Some(found.allow),
                Parent::Fallback => None,
            }
        };
        assert_eq!(allows("shop", "198.51.100.7:80"), Some(true));
        assert_eq!(allows("shop", "203.0.113.1:80"), Some(false));
        assert_eq!(allows("other", "198.51.100.7:80"), Some(false));
        assert_eq!(allows("other", "[2001:db8::1]:80"), None);
    }
}
