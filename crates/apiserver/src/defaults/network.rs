//! Defaults of Services, endpoints and Ingresses.

use serde_json::{Value, json};

use crate::value::{default, items_mut};

/// Default timeout of session affinity in seconds, as in Kubernetes.
const AFFINITY_SECONDS: i64 = 10_800;

pub(super) fn service(spec: &mut Value) {
    if !spec.is_object() {
        *spec = json!({});
    }
    default(spec, "type", "ClusterIP");
    default(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "ClientIP"
        && spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null()
    {
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}});
    } else if spec["sessionAffinity"] == "None"
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("sessionAffinityConfig");
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in spec.get_mut("ports").into_iter().flat_map(items_mut) {
        default(port, "protocol", "TCP");
        let same = port["port"].clone();
        let target = &port["targetPort"];
        if target.is_null() || *target == 0 || *target == "" {
            port["targetPort"] = same;
        }
    }
}

pub(super) fn endpoints(value: &mut Value) {
    for subset in value.get_mut("subsets").into_iter().flat_map(items_mut) {
        for port in subset.get_mut("ports").into_iter().flat_map(items_mut) {
            default(port, "protocol", "TCP");
        }
    }
}

pub(super) fn endpoint_slice(value: &mut Value) {
    for port in value.get_mut("ports").into_iter().flat_map(items_mut) {
        default(port, "name", "");
        default(port, "protocol", "TCP");
    }
    if value.get("endpoints").is_none() {
        value["endpoints"] = Value::Null;
    }
    if value.get("ports").is_none() {
        value["ports"] = Value::Null;
    }
}

pub(super) fn ingress(spec: &mut Value) {
    for rule in spec.get_mut("rules").into_iter().flat_map(items_mut) {
        for path in rule.pointer_mut("/http/paths").into_iter().flat_map(items_mut) {
            // A missing path type has no default; validation rejects it.
            crate::value::drop_nulls(path);
        }
    }
}

pub(super) fn ingress_class(spec: &mut Value) {
    if let Some(parameters) = spec.get_mut("parameters") {
        default(parameters, "scope", "Cluster");
    }
}
