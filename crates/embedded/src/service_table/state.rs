//! The content of the table, and how a change of one Service updates everything that depends on it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use tokio::sync::watch;

use crate::network::{Fabric, ServiceEntry, ServicePort};

/// A ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadyEndpoint {
    /// The pod address with the target port.
    pub(crate) address: SocketAddr,
    /// The name of the pod, if the endpoint is a pod.
    pub(crate) pod: Option<String>,
}

/// The ready endpoints of one port of a Service.
pub(crate) type ReadyEndpoints = Arc<[ReadyEndpoint]>;

/// Namespace and name of a Service.
type ServiceKey = (String, String);

#[derive(Default)]
pub(super) struct State {
    services: HashMap<ServiceKey, Arc<Service>>,
    /// By Service, then by name of the slice.
    slices: HashMap<ServiceKey, HashMap<String, Arc<EndpointSlice>>>,
    entries: HashMap<ServiceKey, Arc<ServiceEntry>>,
    /// By Service, then by port.
    watches: HashMap<ServiceKey, HashMap<u16, watch::Sender<ReadyEndpoints>>>,
    /// The number of Service ports that route to a pod.
    routes: HashMap<Ipv4Addr, usize>,
}

impl State {
    pub(super) fn is_routed(&self, pod: Ipv4Addr) -> bool {
        self.routes.contains_key(&pod)
    }

    pub(super) fn entry(&self, namespace: &str, name: &str) -> Option<Arc<ServiceEntry>> {
        self.entries.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub(super) fn watch_endpoints(
        &mut self,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> watch::Receiver<ReadyEndpoints> {
        let key = (namespace.to_owned(), name.to_owned());
        let now = self.ready_endpoints(&key, port);
        let watches = self.watches.entry(key).or_default();
        watches.entry(port).or_insert_with(|| watch::Sender::new(now)).subscribe()
    }

    pub(super) fn set_service(&mut self, fabric: &Fabric, key: ServiceKey, service: Option<Arc<Service>>) {
        match service {
            Some(service) => self.services.insert(key.clone(), service),
            None => self.services.remove(&key),
        };
        self.refresh(fabric, &key);
    }

    pub(super) fn set_slice(
        &mut self,
        fabric: &Fabric,
        key: ServiceKey,
        name: &str,
        slice: Option<Arc<EndpointSlice>>,
    ) {
        let slices = self.slices.entry(key.clone()).or_default();
        match slice {
            Some(slice) => slices.insert(name.to_owned(), slice),
            None => slices.remove(name),
        };
        if slices.is_empty() {
            self.slices.remove(&key);
        }
        self.refresh(fabric, &key);
    }

    /// Updates the network, the watches and the route counts of one Service.
    fn refresh(&mut self, fabric: &Fabric, key: &ServiceKey) {
        let new = self.services.get(key).map(|service| Arc::new(self.service_entry(key, service)));
        let old = match &new {
            Some(entry) => self.entries.insert(key.clone(), entry.clone()),
            None => self.entries.remove(key),
        };
        // Count up before counting down, so that the count of a pod that stays routed never becomes zero.
        for address in new.iter().flat_map(|entry| pod_addresses(entry)) {
            *self.routes.entry(address).or_default() += 1;
        }
        self.notify(key);
        match new {
            Some(entry) => fabric.set_service(entry),
            None => fabric.remove_service(&key.0, &key.1),
        }
        for address in old.iter().flat_map(|entry| pod_addresses(entry)) {
            if let Some(count) = self.routes.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.routes.remove(&address);
                }
            }
        }
    }

    /// Sends the ready endpoints of a Service to its watches, and removes watches without a reader.
    fn notify(&mut self, key: &ServiceKey) {
        let Some(mut watches) = self.watches.remove(key) else { return };
        watches.retain(|_, sender| !sender.is_closed());
        for (port, sender) in &watches {
            let now = self.ready_endpoints(key, *port);
            sender.send_if_modified(|endpoints| {
                let changed = **endpoints != *now;
                *endpoints = now;
                changed
            });
        }
        if !watches.is_empty() {
            self.watches.insert(key.clone(), watches);
        }
    }

    fn service_entry(&self, key: &ServiceKey, service: &Service) -> ServiceEntry {
        let spec = service.spec.as_ref();
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let port = |port: &k8s_openapi::api::core::v1::ServicePort| {
            let name = port.name.clone().unwrap_or_default();
            let endpoints = self.named_endpoints(key, &name).into_iter().map(|found| found.address).collect();
            Some(ServicePort { port: u16::try_from(port.port).ok()?, name, endpoints })
        };
        ServiceEntry {
            namespace: key.0.clone(),
            name: key.1.clone(),
            cluster_ip: spec.and_then(|spec| spec.cluster_ip.as_deref()?.parse().ok()),
            ports: ports.iter().filter_map(port).collect(),
        }
    }

    fn ready_endpoints(&self, key: &ServiceKey, port: u16) -> ReadyEndpoints {
        let entry = self.entries.get(key);
        let port = entry.and_then(|entry| entry.ports.iter().find(|found| found.port == port));
        port.map(|port| self.named_endpoints(key, &port.name)).unwrap_or_default().into()
    }

    /// Returns the ready endpoints of the port with this name, ordered by address.
    fn named_endpoints(&self, key: &ServiceKey, port_name: &str) -> Vec<ReadyEndpoint> {
        let mut found = Vec::new();
        for slice in self.slices.get(key).into_iter().flat_map(HashMap::values) {
            let Some(port) = target_port(slice, port_name) else { continue };
            for endpoint in slice.endpoints.iter().filter(|endpoint| is_ready(endpoint)) {
                let pod = endpoint.target_ref.as_ref().and_then(|pod| pod.name.clone());
                let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
                found.extend(addresses.map(|ip: IpAddr| ReadyEndpoint {
                    address: SocketAddr::new(ip, port),
                    pod: pod.clone(),
                }));
            }
        }
        found.sort_by_key(|endpoint| endpoint.address);
        found
    }
}

fn target_port(slice: &EndpointSlice, name: &str) -> Option<u16> {
    let ports = slice.ports.as_deref().unwrap_or_default();
    let port = ports.iter().find(|port| port.name.as_deref().unwrap_or_default() == name)?;
    u16::try_from(port.port?).ok()
}

fn is_ready(endpoint: &Endpoint) -> bool {
    // The API defines an absent condition as ready.
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn pod_addresses(entry: &ServiceEntry) -> Vec<Ipv4Addr> {
    let all = entry.ports.iter().flat_map(|port| &port.endpoints);
    all.filter_map(|address| if let IpAddr::V4(ip) = address.ip() { Some(ip) } else { None }).collect()
}
