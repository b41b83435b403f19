//! Cluster IPs and node ports of Services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::PoisonError;

use serde_json::{Value, json};

use crate::core::Core;
use crate::error::{ApiError, Cause, Result};
use crate::value::{items, items_mut};

/// First two bytes of the service network 10.96.0.0/16, the default of kubeadm.
const NETWORK: [u8; 2] = [10, 96];
/// Range of node ports, the default of Kubernetes.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

/// Allocated cluster IPs and node ports.
#[derive(Debug)]
pub(crate) struct Addresses {
    addresses: BTreeSet<Ipv4Addr>,
    next: u16,
    ports: BTreeSet<i64>,
}

impl Addresses {
    /// Returns an allocator in which only the address of the Service `kubernetes` is allocated.
    pub(crate) fn new() -> Self {
        let [a, b] = NETWORK;
        // The first 256 addresses are reserved for Services that specify their address, as in Kubernetes.
        Self { addresses: BTreeSet::from([Ipv4Addr::new(a, b, 0, 1)]), next: 256, ports: BTreeSet::new() }
    }

    fn allocate_address(&mut self) -> Option<Ipv4Addr> {
        let [a, b] = NETWORK;
        for _ in 0..u16::MAX {
            self.next = if self.next >= 65_534 { 2 } else { self.next + 1 };
            let [c, d] = self.next.to_be_bytes();
            let address = Ipv4Addr::new(a, b, c, d);
            if self.addresses.insert(address) {
                return Some(address);
            }
        }
        None
    }

    fn allocate_port(&mut self) -> Option<i64> {
        let free = NODE_PORTS.into_iter().find(|port| !self.ports.contains(port))?;
        self.ports.insert(free);
        Some(free)
    }
}

impl Core {
    /// Sets cluster IP, IP families and node ports of a new or changed Service.
    ///
    /// # Errors
    /// 422 for a requested address that is not available, 500 if all addresses or ports are allocated.
    pub(crate) fn allocate_service(
        &self,
        old: Option<&Value>,
        value: &mut Value,
        dry_run: bool,
    ) -> Result<()> {
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let spec = &mut value["spec"];
        let old_spec = old.map(|old| &old["spec"]);
        if spec["type"] == "ExternalName" {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
            {
                spec.as_object_mut().map(|map| map.remove(field));
            }
            return Ok(());
        }
        let kept = old_spec.and_then(|old| old["clusterIP"].as_str()).filter(|ip| !ip.is_empty());
        let requested = spec["clusterIP"].as_str().filter(|ip| !ip.is_empty()).map(str::to_owned);
        let ip = match (requested, kept) {
            (requested, Some(kept)) => requested.unwrap_or_else(|| kept.to_owned()),
            (Some(none), None) if none == "None" => none,
            (Some(requested), None) => {
                let parsed: Option<Ipv4Addr> = requested.parse().ok();
                let [a, b] = NETWORK;
                let address = parsed.filter(|ip| ip.octets()[..2] == [a, b]);
                let error = |why: &str| {
                    let message =
                        format!("Invalid value: [\"{requested}\"]: failed to allocate IP {requested}: {why}");
                    let field = "spec.clusterIPs".to_owned();
                    ApiError::invalid(
                        "Service",
                        "",
                        &name,
                        &[Cause { reason: "FieldValueInvalid", message, field }],
                    )
                };
                let address =
                    address.ok_or_else(|| error("the provided network does not match the current range"))?;
                if addresses.addresses.contains(&address) {
                    return Err(error("provided IP is already allocated"));
                }
                if !dry_run {
                    addresses.addresses.insert(address);
                }
                requested
            }
            (None, None) => {
                let ip = addresses
                    .allocate_address()
                    .ok_or_else(|| ApiError::internal("all cluster IPs are allocated"))?;
                if dry_run {
                    addresses.addresses.remove(&ip);
                }
                ip.to_string()
            }
        };
        spec["clusterIP"] = ip.clone().into();
        spec["clusterIPs"] = json!([ip]);
        if kept.is_none() && ip == "None" && spec["selector"].is_null() {
            // The IP families of a headless Service without selector depend on its endpoints, so both are allowed.
            crate::value::default(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
            crate::value::default(spec, "ipFamilyPolicy", "RequireDualStack");
        }
        crate::value::default(spec, "ipFamilies", json!(["IPv4"]));
        crate::value::default(spec, "ipFamilyPolicy", "SingleStack");
        let has_node_ports = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
        if !has_node_ports {
            spec.as_object_mut().map(|map| map.remove("externalTrafficPolicy"));
        }
        for port in spec.get_mut("ports").into_iter().flat_map(items_mut) {
            let given = port["nodePort"].as_i64().filter(|port| *port != 0);
            if !has_node_ports {
                if given.is_some() {
                    port.as_object_mut().map(|map| map.remove("nodePort"));
                }
                continue;
            }
            let previous = old_spec.into_iter().flat_map(|old| items(&old["ports"]));
            let previous =
                previous.filter(|p| p["port"] == port["port"] && p["protocol"] == port["protocol"]);
            let previous = previous.filter_map(|p| p["nodePort"].as_i64()).next();
            match (given, previous) {
                (Some(given), _) => {
                    addresses.ports.insert(given);
                }
                (None, Some(previous)) => port["nodePort"] = previous.into(),
                (None, None) => {
                    let free = addresses
                        .allocate_port()
                        .ok_or_else(|| ApiError::internal("all node ports are allocated"))?;
                    port["nodePort"] = free.into();
                    if dry_run {
                        addresses.ports.remove(&free);
                    }
                }
            }
        }
        Ok(())
    }

    /// Releases cluster IP and node ports of a removed Service.
    pub(crate) fn release(&self, service: &Value) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ip) = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok()) {
            addresses.addresses.remove(&ip);
        }
        for port in items(&service["spec"]["ports"]).filter_map(|port| port["nodePort"].as_i64()) {
            addresses.ports.remove(&port);
        }
    }

    /// Marks cluster IPs and node ports of all stored Services as allocated.
    pub(crate) fn reserve_addresses(&self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for service in self.store.collection("services").list(None).0 {
            addresses
                .addresses
                .extend(service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok()));
            addresses
                .ports
                .extend(items(&service["spec"]["ports"]).filter_map(|port| port["nodePort"].as_i64()));
        }
    }
}
