//! Validation of pods and pod templates.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{duplicate, forbidden, invalid, names, required, unsupported};
use crate::error::{Cause, Causes};
use crate::value::items;

pub(super) fn spec(spec: &Value, at: &str, found: &mut Causes) {
    let volumes: BTreeSet<&str> =
        items(&spec["volumes"]).filter_map(|volume| volume["name"].as_str()).collect();
    let mut seen = BTreeSet::new();
    if items(&spec["containers"]).next().is_none() {
        found.push(required(&format!("{at}.containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        for (index, item) in items(&spec[list]).enumerate() {
            let at = format!("{at}.{list}[{index}]");
            let name = item["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                found.push(required(&format!("{at}.name"), ""));
            } else if !seen.insert(name) {
                found.push(duplicate(&format!("{at}.name"), &item["name"]));
            } else {
                let errors = names::label(name);
                found.extend(errors.iter().map(|why| invalid(&format!("{at}.name"), &item["name"], why)));
            }
            container(item, &at, &volumes, found);
        }
    }
    if !matches!(spec["restartPolicy"].as_str(), Some("Always" | "OnFailure" | "Never")) {
        let supported = ["Always", "Never", "OnFailure"];
        found.push(unsupported(&format!("{at}.restartPolicy"), &spec["restartPolicy"], &supported));
    }
}

fn container(container: &Value, at: &str, volumes: &BTreeSet<&str>, found: &mut Causes) {
    if container["image"].as_str().is_none_or(str::is_empty) {
        found.push(required(&format!("{at}.image"), ""));
    }
    for (index, port) in items(&container["ports"]).enumerate() {
        let at = format!("{at}.ports[{index}].containerPort");
        match port["containerPort"].as_i64().unwrap_or_default() {
            0 => found.push(required(&at, "")),
            1..=65535 => {}
            _ => found.push(invalid(&at, &port["containerPort"], "must be between 1 and 65535, inclusive")),
        }
        let protocol = &port["protocol"];
        if !matches!(protocol.as_str(), Some("TCP" | "UDP" | "SCTP")) {
            let at = at.replace("containerPort", "protocol");
            found.push(unsupported(&at, protocol, &["SCTP", "TCP", "UDP"]));
        }
    }
    for (index, variable) in items(&container["env"]).enumerate() {
        if variable["name"].as_str().is_none_or(str::is_empty) {
            found.push(required(&format!("{at}.env[{index}].name"), ""));
        }
    }
    for (index, mount) in items(&container["volumeMounts"]).enumerate() {
        let name = mount["name"].as_str().unwrap_or_default();
        if !volumes.contains(name) {
            let message = format!("Not found: \"{name}\"");
            let field = format!("{at}.volumeMounts[{index}].name");
            found.push(Cause { reason: "FieldValueNotFound", message, field });
        }
    }
    let policy = &container["imagePullPolicy"];
    if !matches!(policy.as_str(), Some("Always" | "IfNotPresent" | "Never")) {
        found.push(unsupported(
            &format!("{at}.imagePullPolicy"),
            policy,
            &["Always", "IfNotPresent", "Never"],
        ));
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let value = &container[probe];
        let handlers =
            ["exec", "httpGet", "tcpSocket", "grpc"].iter().filter(|name| value[**name].is_object()).count();
        if value.is_object() && handlers == 0 {
            found.push(required(&format!("{at}.{probe}"), "must specify a handler type"));
        }
    }
}

/// Returns warnings for ports with the same number and protocol in several containers: only one of them can listen.
pub(super) fn warnings(spec: &Value, at: &str) -> Vec<String> {
    let mut seen: HashMap<(Option<i64>, Option<&str>), String> = HashMap::new();
    let mut found = Vec::new();
    for (index, container) in items(&spec["containers"]).enumerate() {
        for (position, port) in items(&container["ports"]).enumerate() {
            let path = format!("{at}.containers[{index}].ports[{position}]");
            match seen.entry((port["containerPort"].as_i64(), port["protocol"].as_str())) {
                Entry::Occupied(first) => {
                    found.push(format!("{path}: duplicate port definition with {}", first.get()));
                }
                Entry::Vacant(first) => {
                    first.insert(path);
                }
            }
        }
    }
    found
}

/// Checks that only the mutable fields of a pod spec changed.
pub(super) fn update(old: &Value, new: &Value, found: &mut Causes) {
    let immutable = |spec: &Value| {
        let mut spec = spec.clone();
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).into_iter().flat_map(crate::value::items_mut) {
                container["image"] = Value::Null;
            }
        }
        for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"] {
            spec[field] = Value::Null;
        }
        spec
    };
    let is_moved = old["nodeName"].is_string() && old["nodeName"] != new["nodeName"];
    if is_moved || immutable(old) != immutable(new) {
        found.push(forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}
