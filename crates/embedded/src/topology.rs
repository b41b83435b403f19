//! Who stands behind each Service now: one place that both the network and the mesh's proxies follow.
//!
//! One task applies each change of a Service or EndpointSlice to the network's table and to the proxies' endpoint
//! watches together, so that "nothing leads to this pod any more" can be known and waited for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{Api, Change, ENDPOINT_SLICES, Object, SERVICES};
use crate::network::{Fabric, ServiceEntry, ServicePort};
use crate::object::{int, label, list, name, namespace, text};

/// Namespace and name of a Service.
type Key = (String, String);

/// One ready endpoint, with the pod behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The pod's address with the target port.
    pub(crate) address: SocketAddr,
    /// The pod's name, when a pod stands behind it.
    pub(crate) pod: Option<String>,
}

/// The ready endpoints of one port of a Service.
pub(crate) type Members = Arc<[Member]>;

#[derive(Default)]
struct State {
    services: HashMap<Key, Object>,
    slices: HashMap<Key, HashMap<String, Object>>,
    entries: HashMap<Key, Arc<ServiceEntry>>,
    members: HashMap<(Key, u16), watch::Sender<Members>>,
    /// How many ports of Services lead to a pod.
    routed: HashMap<Ipv4Addr, usize>,
}

/// The Services and what stands behind them.
pub(crate) struct Topology {
    fabric: Arc<Fabric>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Topology {
    pub(crate) fn new(fabric: Arc<Fabric>) -> Arc<Self> {
        Arc::new(Self { fabric, state: Mutex::default(), changed: watch::Sender::new(0) })
    }

    /// Follows the API until the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, api: &Api, tasks: &mut JoinSet<()>) {
        let (topology, mut services, mut slices) =
            (self.clone(), api.watch(SERVICES), api.watch(ENDPOINT_SLICES));
        tasks.spawn(async move {
            loop {
                let (change, is_service) = tokio::select! {
                    Some(change) = services.next() => (change, true),
                    Some(change) = slices.next() => (change, false),
                    else => return,
                };
                if is_service {
                    topology.service(&change)
                } else {
                    topology.slice(&change)
                }
                topology.changed.send_modify(|version| *version += 1);
            }
        });
    }

    /// Resolves when no Service leads to a pod any more.
    pub(crate) async fn unrouted(&self, pod: Ipv4Addr) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if !self.state().routed.contains_key(&pod) || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is known of a Service.
    pub(crate) fn entry(&self, namespace: &str, name: &str) -> Option<Arc<ServiceEntry>> {
        self.state().entries.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Follows the ready endpoints of one port of a Service, whether it is there yet or not.
    pub(crate) fn members(&self, namespace: &str, name: &str, port: u16) -> watch::Receiver<Members> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.state();
        let now = state.members_now(&key, port);
        state.members.entry((key, port)).or_insert_with(|| watch::Sender::new(now)).subscribe()
    }

    fn service(&self, change: &Change) {
        let mut state = self.state();
        match change {
            Change::Applied(service) => {
                let key = key_of(service);
                state.services.insert(key.clone(), service.clone());
                state.refresh(&self.fabric, &key);
            }
            Change::Deleted(service) => {
                let key = key_of(service);
                state.services.remove(&key);
                state.refresh(&self.fabric, &key);
            }
        }
    }

    fn slice(&self, change: &Change) {
        let (Change::Applied(slice) | Change::Deleted(slice)) = change;
        let Some(service) = label(slice, "kubernetes.io/service-name") else { return };
        let key = (namespace(slice).to_owned(), service.to_owned());
        let mut state = self.state();
        let slices = state.slices.entry(key.clone()).or_default();
        match change {
            Change::Applied(_) => slices.insert(name(slice).to_owned(), slice.clone()),
            Change::Deleted(_) => slices.remove(name(slice)),
        };
        if slices.is_empty() {
            state.slices.remove(&key);
        }
        state.refresh(&self.fabric, &key);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Brings network, endpoint watches and counts up to what the objects say.
    fn refresh(&mut self, fabric: &Fabric, key: &Key) {
        let fresh = self.services.get(key).map(|service| Arc::new(self.entry(key, service)));
        let old = match &fresh {
            Some(entry) => self.entries.insert(key.clone(), entry.clone()),
            None => self.entries.remove(key),
        };
        // First up, then down: a pod that stays routed is never seen at nought.
        for address in fresh.iter().flat_map(|entry| routed(entry)) {
            *self.routed.entry(address).or_default() += 1;
        }
        let ports: Vec<u16> =
            self.members.keys().filter(|(of, _)| of == key).map(|(_, port)| *port).collect();
        for port in ports {
            let now = self.members_now(key, port);
            let place = (key.clone(), port);
            if let Some(sender) = self.members.get(&place) {
                if sender.is_closed() {
                    self.members.remove(&place);
                    continue;
                }
                sender.send_if_modified(|members| {
                    let changed = **members != *now;
                    *members = now;
                    changed
                });
            }
        }
        match fresh {
            Some(entry) => fabric.set_service(entry),
            None => fabric.remove_service(&key.0, &key.1),
        }
        for address in old.iter().flat_map(|entry| routed(entry)) {
            if let Some(count) = self.routed.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.routed.remove(&address);
                }
            }
        }
    }

    fn entry(&self, key: &Key, service: &Value) -> ServiceEntry {
        let ports = list(service, "/spec/ports")
            .iter()
            .filter_map(|port| {
                let number = u16::try_from(int(port, "/port")?).ok()?;
                let called = text(port, "/name").to_owned();
                let endpoints =
                    self.endpoints(key, &called).into_iter().map(|member| member.address).collect();
                Some(ServicePort { port: number, name: called, endpoints })
            })
            .collect();
        ServiceEntry {
            namespace: key.0.clone(),
            name: key.1.clone(),
            cluster_ip: text(service, "/spec/clusterIP").parse().ok(),
            ports,
        }
    }

    /// The ready endpoints behind the port of this name.
    fn endpoints(&self, key: &Key, port: &str) -> Vec<Member> {
        let mut found = Vec::new();
        for slice in self.slices.get(key).into_iter().flat_map(HashMap::values) {
            let target = list(slice, "/ports")
                .iter()
                .find(|candidate| text(candidate, "/name") == port)
                .and_then(|candidate| u16::try_from(int(candidate, "/port")?).ok());
            let Some(target) = target else { continue };
            for endpoint in list(slice, "/endpoints") {
                // Absent counts as ready, by the API's own words.
                if endpoint.pointer("/conditions/ready") == Some(&Value::Bool(false)) {
                    continue;
                }
                let pod = endpoint.pointer("/targetRef/name").and_then(Value::as_str).map(str::to_owned);
                let addresses =
                    list(endpoint, "/addresses").iter().filter_map(|address| address.as_str()?.parse().ok());
                found.extend(
                    addresses
                        .map(|ip: IpAddr| Member { address: SocketAddr::new(ip, target), pod: pod.clone() }),
                );
            }
        }
        found.sort_by_key(|member| member.address);
        found
    }

    fn members_now(&self, key: &Key, port: u16) -> Members {
        let called = self
            .entries
            .get(key)
            .and_then(|entry| entry.ports.iter().find(|candidate| candidate.port == port))
            .map(|found| found.name.clone());
        called.map(|called| self.endpoints(key, &called)).unwrap_or_default().into()
    }
}

fn key_of(service: &Value) -> Key {
    (namespace(service).to_owned(), name(service).to_owned())
}

fn routed(entry: &ServiceEntry) -> Vec<Ipv4Addr> {
    let all = entry.ports.iter().flat_map(|port| &port.endpoints);
    all.filter_map(|address| if let IpAddr::V4(ip) = address.ip() { Some(ip) } else { None }).collect()
}
