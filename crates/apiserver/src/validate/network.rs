//! Validation of Services and Ingresses.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{duplicate, invalid, required, unsupported};
use crate::error::Causes;
use crate::value::items;

const PORT: &str = "must be between 1 and 65535, inclusive";

pub(super) fn service(spec: &Value, found: &mut Causes) {
    let ports: Vec<&Value> = items(&spec["ports"]).collect();
    let external = spec["type"] == "ExternalName";
    if ports.is_empty() && !external && spec["clusterIP"] != "None" {
        found.push(required("spec.ports", ""));
    }
    if external && spec["externalName"].as_str().is_none_or(str::is_empty) {
        found.push(required("spec.externalName", ""));
    }
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        match port["name"].as_str().unwrap_or_default() {
            "" if ports.len() > 1 => found.push(required(&format!("{at}.name"), "")),
            name if !name.is_empty() && !names.insert(name) => {
                found.push(duplicate(&format!("{at}.name"), &port["name"]));
            }
            _ => {}
        }
        let is_port = |value: &Value| value.as_i64().is_some_and(|port| (1..=65535).contains(&port));
        if !is_port(&port["port"]) {
            found.push(invalid(&format!("{at}.port"), &port["port"], PORT));
        }
        if port["targetPort"].is_number() && !is_port(&port["targetPort"]) {
            found.push(invalid(&format!("{at}.targetPort"), &port["targetPort"], PORT));
        }
        if !matches!(port["protocol"].as_str(), Some("TCP" | "UDP" | "SCTP")) {
            found.push(unsupported(&format!("{at}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]));
        }
        if !numbers.insert((port["port"].as_i64(), port["protocol"].as_str())) {
            found.push(duplicate(&at, &json!({"port": port["port"], "protocol": port["protocol"]})));
        }
    }
    let kind = &spec["type"];
    if !matches!(kind.as_str(), Some("ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName")) {
        found.push(unsupported(
            "spec.type",
            kind,
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ));
    }
}

/// Checks that a Service keeps its cluster IP.
pub(super) fn service_update(old: &Value, new: &Value, found: &mut Causes) {
    let kept = old["clusterIP"].is_string() && new["type"] != "ExternalName" && old["type"] != "ExternalName";
    if kept && old["clusterIP"] != new["clusterIP"] {
        found.push(invalid("spec.clusterIPs[0]", &json!([new["clusterIP"]]), "may not change once set"));
    }
}

pub(super) fn ingress(spec: &Value, found: &mut Causes) {
    if items(&spec["rules"]).next().is_none() && !spec["defaultBackend"].is_object() {
        found.push(invalid("spec", &json!([]), "either `defaultBackend` or `rules` must be specified"));
    }
    for (index, rule) in items(&spec["rules"]).enumerate() {
        for (number, path) in items(&rule["http"]["paths"]).enumerate() {
            let at = format!("spec.rules[{index}].http.paths[{number}]");
            match path["pathType"].as_str() {
                None => {
                    found.push(required(&format!("{at}.pathType"), "pathType must be specified"));
                    continue;
                }
                Some("Exact" | "Prefix") => {
                    let text = path["path"].as_str().unwrap_or_default();
                    if !text.starts_with('/') {
                        found.push(invalid(&format!("{at}.path"), &text.into(), "must be an absolute path"));
                    }
                }
                Some("ImplementationSpecific") => {}
                Some(_) => {
                    let supported = ["Exact", "ImplementationSpecific", "Prefix"];
                    found.push(unsupported(&format!("{at}.pathType"), &path["pathType"], &supported));
                }
            }
            if !path["backend"]["service"].is_object() && !path["backend"]["resource"].is_object() {
                found.push(required(&format!("{at}.backend"), "must specify `service` or `resource`"));
            } else if path["backend"]["service"].is_object() {
                let service = &path["backend"]["service"];
                if service["name"].as_str().is_none_or(str::is_empty) {
                    found.push(required(&format!("{at}.backend.service.name"), ""));
                }
                if !service["port"]["name"].is_string() && !service["port"]["number"].is_number() {
                    found.push(required(&format!("{at}.backend"), "port name or number is required"));
                }
            }
        }
    }
}
