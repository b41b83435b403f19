//! Addresses and node ports of Services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::PoisonError;

use serde_json::{Value, json};

use crate::core::Core;
use crate::error::{ApiError, Cause, Result};
use crate::value::{items, items_mut};

/// Services' addresses are 10.96.0.0/16, as in kubeadm's clusters.
const RANGE: [u8; 2] = [10, 96];
/// Where node ports lie by default.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

/// What is handed out.
#[derive(Debug)]
pub(crate) struct Addresses {
    taken: BTreeSet<Ipv4Addr>,
    next: u16,
    ports: BTreeSet<i64>,
}

impl Addresses {
    /// Nothing but the API's own address is taken.
    pub(crate) fn new() -> Self {
        let [a, b] = RANGE;
        // The first 256 stay free for Services that ask for one of them, as in Kubernetes' split of the range.
        Self { taken: BTreeSet::from([Ipv4Addr::new(a, b, 0, 1)]), next: 256, ports: BTreeSet::new() }
    }

    fn any(&mut self) -> Option<Ipv4Addr> {
        let [a, b] = RANGE;
        for _ in 0..u16::MAX {
            self.next = if self.next >= 65_534 { 2 } else { self.next + 1 };
            let [c, d] = self.next.to_be_bytes();
            let address = Ipv4Addr::new(a, b, c, d);
            if self.taken.insert(address) {
                return Some(address);
            }
        }
        None
    }

    fn port(&mut self) -> Option<i64> {
        let free = NODE_PORTS.into_iter().find(|port| !self.ports.contains(port))?;
        self.ports.insert(free);
        Some(free)
    }
}

impl Core {
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
        let asked = spec["clusterIP"].as_str().filter(|ip| !ip.is_empty()).map(str::to_owned);
        let ip = match (asked, kept) {
            (asked, Some(kept)) => asked.unwrap_or_else(|| kept.to_owned()),
            (Some(none), None) if none == "None" => none,
            (Some(asked), None) => {
                let parsed: Option<Ipv4Addr> = asked.parse().ok();
                let [a, b] = RANGE;
                let fits = parsed.filter(|ip| ip.octets()[..2] == [a, b]);
                let refuse = |why: &str| {
                    let message =
                        format!("Invalid value: [\"{asked}\"]: failed to allocate IP {asked}: {why}");
                    let field = "spec.clusterIPs".to_owned();
                    ApiError::invalid(
                        "Service",
                        "",
                        &name,
                        &[Cause { reason: "FieldValueInvalid", message, field }],
                    )
                };
                let fits =
                    fits.ok_or_else(|| refuse("the provided network does not match the current range"))?;
                if addresses.taken.contains(&fits) {
                    return Err(refuse("provided IP is already allocated"));
                }
                if !dry_run {
                    addresses.taken.insert(fits);
                }
                asked
            }
            (None, None) => {
                let ip = addresses.any().ok_or_else(|| ApiError::internal("no service address is free"))?;
                if dry_run {
                    addresses.taken.remove(&ip);
                }
                ip.to_string()
            }
        };
        spec["clusterIP"] = ip.clone().into();
        spec["clusterIPs"] = json!([ip]);
        if kept.is_none() && ip == "None" && spec["selector"].is_null() {
            // Nobody but its endpoints knows which families a headless Service without a selector has.
            crate::value::default(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
            crate::value::default(spec, "ipFamilyPolicy", "RequireDualStack");
        }
        crate::value::default(spec, "ipFamilies", json!(["IPv4"]));
        crate::value::default(spec, "ipFamilyPolicy", "SingleStack");
        let wants_ports = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
        if !wants_ports {
            spec.as_object_mut().map(|map| map.remove("externalTrafficPolicy"));
        }
        for port in spec.get_mut("ports").into_iter().flat_map(items_mut) {
            let given = port["nodePort"].as_i64().filter(|port| *port != 0);
            if !wants_ports {
                if given.is_some() {
                    port.as_object_mut().map(|map| map.remove("nodePort"));
                }
                continue;
            }
            let was = old_spec.into_iter().flat_map(|old| items(&old["ports"]));
            let was = was.filter(|p| p["port"] == port["port"] && p["protocol"] == port["protocol"]);
            let was = was.filter_map(|p| p["nodePort"].as_i64()).next();
            match (given, was) {
                (Some(given), _) => {
                    addresses.ports.insert(given);
                }
                (None, Some(was)) => port["nodePort"] = was.into(),
                (None, None) => {
                    let free = addresses.port().ok_or_else(|| ApiError::internal("no node port is free"))?;
                    port["nodePort"] = free.into();
                    if dry_run {
                        addresses.ports.remove(&free);
                    }
                }
            }
        }
        Ok(())
    }

    /// A Service that goes gives back what it had.
    pub(crate) fn release(&self, service: &Value) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ip) = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok()) {
            addresses.taken.remove(&ip);
        }
        for port in items(&service["spec"]["ports"]).filter_map(|port| port["nodePort"].as_i64()) {
            addresses.ports.remove(&port);
        }
    }

    /// Takes what the Services of a snapshot have.
    pub(crate) fn reclaim_addresses(&self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for service in self.store.collection("services").list(None).0 {
            addresses
                .taken
                .extend(service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok()));
            addresses
                .ports
                .extend(items(&service["spec"]["ports"]).filter_map(|port| port["nodePort"].as_i64()));
        }
    }
}
