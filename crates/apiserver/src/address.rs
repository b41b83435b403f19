//! Cluster IPs and node ports of Services.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::error::{ApiError, Cause, Result};
use crate::value::{default, items, items_mut};

/// First two bytes of the service network 10.96.0.0/16, the default of kubeadm.
const NETWORK: [u8; 2] = [10, 96];
/// Range of node ports, the default of Kubernetes.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;
/// Fields that a Service of type ExternalName does not have.
const ADDRESS_FIELDS: [&str; 5] =
    ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"];

/// Allocates cluster IPs and node ports.
#[derive(Debug)]
pub(crate) struct ServiceAllocator {
    allocated: Mutex<Allocated>,
}

#[derive(Debug)]
struct Allocated {
    addresses: BTreeSet<Ipv4Addr>,
    /// Last two bytes of the last automatically allocated address.
    last: u16,
    ports: BTreeSet<i64>,
}

impl Allocated {
    fn allocate_address(&mut self) -> Option<Ipv4Addr> {
        let [a, b] = NETWORK;
        for _ in 0..u16::MAX {
            self.last = if self.last >= 65_534 { 2 } else { self.last + 1 };
            let [c, d] = self.last.to_be_bytes();
            let address = Ipv4Addr::new(a, b, c, d);
            if self.addresses.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

impl ServiceAllocator {
    /// Returns an allocator in which only the address of the Service `kubernetes` is allocated.
    pub(crate) fn new() -> Self {
        let [a, b] = NETWORK;
        // The first 256 addresses are reserved for Services that specify their address, as in Kubernetes.
        let allocated = Allocated {
            addresses: BTreeSet::from([Ipv4Addr::new(a, b, 0, 1)]),
            last: 256,
            ports: BTreeSet::new(),
        };
        Self { allocated: Mutex::new(allocated) }
    }

    fn lock(&self) -> MutexGuard<'_, Allocated> {
        self.allocated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets cluster IP, IP families and node ports of a new or changed Service.
    ///
    /// # Errors
    /// 422 for a requested address that is not available, 500 if all addresses or ports are allocated.
    pub(crate) fn allocate(&self, old: Option<&Value>, service: &mut Value, dry_run: bool) -> Result<()> {
        let name = service["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let spec = &mut service["spec"];
        let old_spec = old.map(|old| &old["spec"]);
        if spec["type"] == "ExternalName" {
            for field in ADDRESS_FIELDS {
                spec.as_object_mut().map(|map| map.remove(field));
            }
            return Ok(());
        }
        let mut allocated = self.lock();
        set_address(&mut allocated, &name, old_spec, spec, dry_run)?;
        set_node_ports(&mut allocated, &name, old_spec, spec, dry_run)
    }

    /// Releases cluster IP and node ports of a removed Service.
    pub(crate) fn release(&self, service: &Value) {
        let mut allocated = self.lock();
        if let Some(address) = address_of(service) {
            allocated.addresses.remove(&address);
        }
        for port in node_ports_of(service) {
            allocated.ports.remove(&port);
        }
    }

    /// Undoes [`ServiceAllocator::allocate`] for a changed Service that was not stored.
    pub(crate) fn undo(&self, old: &Value, service: &Value) {
        self.release(service);
        self.reserve(old);
    }

    /// Marks cluster IP and node ports of a stored Service as allocated.
    pub(crate) fn reserve(&self, service: &Value) {
        let mut allocated = self.lock();
        allocated.addresses.extend(address_of(service));
        allocated.ports.extend(node_ports_of(service));
    }
}

fn address_of(service: &Value) -> Option<Ipv4Addr> {
    service["spec"]["clusterIP"].as_str()?.parse().ok()
}

fn node_ports_of(service: &Value) -> impl Iterator<Item = i64> {
    items(&service["spec"]["ports"]).filter_map(|port| port["nodePort"].as_i64())
}

fn set_address(
    allocated: &mut Allocated,
    name: &str,
    old_spec: Option<&Value>,
    spec: &mut Value,
    dry_run: bool,
) -> Result<()> {
    let kept = old_spec.and_then(|old| old["clusterIP"].as_str()).filter(|ip| !ip.is_empty());
    let requested = spec["clusterIP"].as_str().filter(|ip| !ip.is_empty()).map(str::to_owned);
    let ip = match (requested, kept) {
        (requested, Some(kept)) => requested.unwrap_or_else(|| kept.to_owned()),
        (Some(none), None) if none == "None" => none,
        (Some(requested), None) => {
            let address = check_requested(allocated, name, &requested)?;
            if !dry_run {
                allocated.addresses.insert(address);
            }
            requested
        }
        (None, None) => {
            let full = || ApiError::internal("all cluster IPs are allocated");
            let address = allocated.allocate_address().ok_or_else(full)?;
            if dry_run {
                allocated.addresses.remove(&address);
            }
            address.to_string()
        }
    };
    spec["clusterIP"] = ip.clone().into();
    spec["clusterIPs"] = json!([ip]);
    if kept.is_none() && ip == "None" && spec["selector"].is_null() {
        // The IP families of a headless Service without selector depend on its endpoints, so both are allowed.
        default(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
        default(spec, "ipFamilyPolicy", "RequireDualStack");
    }
    default(spec, "ipFamilies", json!(["IPv4"]));
    default(spec, "ipFamilyPolicy", "SingleStack");
    Ok(())
}

fn check_requested(allocated: &Allocated, name: &str, requested: &str) -> Result<Ipv4Addr> {
    let error = |why: &str| {
        let why = format!("[\"{requested}\"]: failed to allocate IP {requested}: {why}");
        invalid(name, "spec.clusterIPs".to_owned(), &why)
    };
    let parsed: Option<Ipv4Addr> = requested.parse().ok();
    let address = parsed.filter(|ip| ip.octets()[..2] == NETWORK);
    let address = address.ok_or_else(|| error("the provided network does not match the current range"))?;
    if allocated.addresses.contains(&address) {
        return Err(error("provided IP is already allocated"));
    }
    Ok(address)
}

fn set_node_ports(
    allocated: &mut Allocated,
    name: &str,
    old_spec: Option<&Value>,
    spec: &mut Value,
    dry_run: bool,
) -> Result<()> {
    let old_ports: Vec<&Value> = old_spec.into_iter().flat_map(|old| items(&old["ports"])).collect();
    let mut by_key = HashMap::new();
    for port in &old_ports {
        by_key.entry(port_key(port)).or_insert(*port);
    }
    let own: BTreeSet<i64> = old_ports.iter().filter_map(|port| port["nodePort"].as_i64()).collect();
    let mut used: BTreeSet<i64> = allocated.ports.difference(&own).copied().collect();
    if matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        // Requested ports first, so that they are not allocated to another port of the Service.
        for (index, port) in spec.get_mut("ports").into_iter().flat_map(items_mut).enumerate() {
            keep_node_port(port, &by_key);
            if let Some(number) = port["nodePort"].as_i64() {
                let field = format!("spec.ports[{index}].nodePort");
                if !NODE_PORTS.contains(&number) {
                    let (min, max) = (NODE_PORTS.start(), NODE_PORTS.end());
                    let why = "provided port is not in the valid range. The range of valid ports is";
                    return Err(invalid(name, field, &format!("{number}: {why} {min}-{max}")));
                }
                if !used.insert(number) {
                    let why = format!("{number}: provided port is already allocated");
                    return Err(invalid(name, field, &why));
                }
            }
        }
        let ports = spec.get_mut("ports").into_iter().flat_map(items_mut);
        for port in ports.filter(|port| port["nodePort"].is_null()) {
            let free = NODE_PORTS.into_iter().find(|number| !used.contains(number));
            let free = free.ok_or_else(|| ApiError::internal("all node ports are allocated"))?;
            used.insert(free);
            port["nodePort"] = free.into();
        }
    } else {
        spec.as_object_mut().map(|map| map.remove("externalTrafficPolicy"));
        for port in spec.get_mut("ports").into_iter().flat_map(items_mut) {
            port.as_object_mut().map(|map| map.remove("nodePort"));
        }
    }
    if !dry_run {
        allocated.ports = used;
    }
    Ok(())
}

/// Sets a node port that is missing or 0 to that of the old port with the same number and protocol, or to null.
fn keep_node_port(port: &mut Value, old_ports: &HashMap<PortKey, &Value>) {
    if port["nodePort"].as_i64().is_none_or(|number| number == 0) {
        port["nodePort"] =
            old_ports.get(&port_key(port)).map(|old| old["nodePort"].clone()).unwrap_or_default();
    }
}

/// Number and protocol of a port.
type PortKey = (Option<i64>, String);

fn port_key(port: &Value) -> PortKey {
    (port["port"].as_i64(), port["protocol"].as_str().unwrap_or_default().to_owned())
}

fn invalid(name: &str, field: String, why: &str) -> ApiError {
    let message = format!("Invalid value: {why}");
    ApiError::invalid("Service", "", name, &[Cause { reason: "FieldValueInvalid", message, field }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(node_port: i64) -> Value {
        json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]}})
    }

    #[test]
    fn dry_run_allocates_nothing() {
        let allocator = ServiceAllocator::new();
        for dry_run in [true, true, false] {
            allocator.allocate(None, &mut service(30100), dry_run).expect("allocates");
        }
        assert!(allocator.allocate(None, &mut service(30100), false).is_err());
    }

    #[test]
    fn changed_service_releases_its_old_port_unless_the_change_is_undone() {
        let allocator = ServiceAllocator::new();
        let (mut old, mut new) = (service(30100), service(30200));
        allocator.allocate(None, &mut old, false).expect("allocates");
        allocator.allocate(Some(&old), &mut new, false).expect("changes the port");
        allocator.allocate(None, &mut service(30100), true).expect("is free");
        allocator.undo(&old, &new);
        allocator.allocate(None, &mut service(30200), true).expect("is free again");
        assert!(allocator.allocate(None, &mut service(30100), true).is_err());
    }
}
