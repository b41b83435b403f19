//! Tables of Services, endpoints and Ingresses.

use serde_json::Value;

use super::{age, labels, or_none};
use crate::value::items;

pub(super) const SERVICE: &[&str] =
    &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "wide:Selector"];
pub(super) const ENDPOINTS: &[&str] = &["Name", "Endpoints", "Age"];
pub(super) const SLICE: &[&str] = &["Name", "AddressType", "Ports", "Endpoints", "Age"];
pub(super) const INGRESS: &[&str] = &["Name", "Class", "Hosts", "Address", "Ports", "Age"];
pub(super) const CLASS: &[&str] = &["Name", "Controller", "Parameters", "Age"];

/// Maximum entries in a cell; the number of other entries follows.
const MAX_ENTRIES: usize = 3;

fn join(mut entries: Vec<String>) -> Value {
    let more = entries.len().saturating_sub(MAX_ENTRIES);
    entries.truncate(MAX_ENTRIES);
    match more {
        0 => or_none(entries.join(",")),
        more => format!("{} + {more} more...", entries.join(",")).into(),
    }
}

fn addresses(balancer: &Value) -> String {
    let addresses =
        items(&balancer["ingress"]).filter_map(|entry| entry["ip"].as_str().or(entry["hostname"].as_str()));
    addresses.collect::<Vec<_>>().join(",")
}

pub(super) fn service(object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let kind = spec["type"].as_str().unwrap_or_default();
    let mut external: Vec<String> =
        items(&spec["externalIPs"]).filter_map(|ip| ip.as_str().map(str::to_owned)).collect();
    let balanced = addresses(&object["status"]["loadBalancer"]);
    match kind {
        "ExternalName" => external = vec![spec["externalName"].as_str().unwrap_or_default().to_owned()],
        "LoadBalancer" if !balanced.is_empty() => external.insert(0, balanced),
        "LoadBalancer" if external.is_empty() => external.push("<pending>".to_owned()),
        _ => {}
    }
    let ports = items(&spec["ports"]).map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_i64().filter(|port| *port > 0) {
            Some(node) => format!("{}:{node}/{protocol}", port["port"]),
            None => format!("{}/{protocol}", port["port"]),
        }
    });
    vec![
        object["metadata"]["name"].clone(),
        kind.into(),
        or_none(spec["clusterIP"].as_str().unwrap_or_default().to_owned()),
        or_none(external.join(",")),
        or_none(ports.collect::<Vec<_>>().join(",")),
        age(object),
        labels(&spec["selector"]),
    ]
}

pub(super) fn endpoints(object: &Value) -> Vec<Value> {
    let mut entries = Vec::new();
    for subset in items(&object["subsets"]) {
        for address in items(&subset["addresses"]) {
            let ip = address["ip"].as_str().unwrap_or_default();
            if items(&subset["ports"]).next().is_none() {
                entries.push(ip.to_owned());
            }
            entries.extend(items(&subset["ports"]).map(|port| format!("{ip}:{}", port["port"])));
        }
    }
    vec![object["metadata"]["name"].clone(), join(entries), age(object)]
}

pub(super) fn slice(object: &Value) -> Vec<Value> {
    let ports = items(&object["ports"]).map(|port| match &port["port"] {
        Value::Null => "*".to_owned(),
        port => port.to_string(),
    });
    let ips =
        items(&object["endpoints"]).flat_map(|one| items(&one["addresses"])).filter_map(|ip| ip.as_str());
    let unset = |cell: Value| if cell == "<none>" { "<unset>".into() } else { cell };
    vec![
        object["metadata"]["name"].clone(),
        object["addressType"].clone(),
        unset(join(ports.collect())),
        unset(join(ips.map(str::to_owned).collect())),
        age(object),
    ]
}

pub(super) fn ingress(object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let hosts: Vec<String> = items(&spec["rules"])
        .filter_map(|rule| rule["host"].as_str())
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect();
    let hosts = if hosts.is_empty() { "*".into() } else { join(hosts) };
    let ports = if items(&spec["tls"]).next().is_some() { "80, 443" } else { "80" };
    vec![
        object["metadata"]["name"].clone(),
        or_none(spec["ingressClassName"].as_str().unwrap_or_default().to_owned()),
        hosts,
        addresses(&object["status"]["loadBalancer"]).into(),
        ports.into(),
        age(object),
    ]
}

pub(super) fn class(object: &Value) -> Vec<Value> {
    let parameters = &object["spec"]["parameters"];
    let text = |field: &str| parameters[field].as_str().unwrap_or_default();
    let reference = match (text("kind"), text("apiGroup")) {
        ("", _) => "<none>".to_owned(),
        (kind, "") => format!("{kind}/{}", text("name")),
        (kind, group) => format!("{kind}.{group}/{}", text("name")),
    };
    vec![
        object["metadata"]["name"].clone(),
        object["spec"]["controller"].clone(),
        reference.into(),
        age(object),
    ]
}
