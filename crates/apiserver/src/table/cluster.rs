//! Tables of namespaces, nodes, configuration, events, leases and definitions.

use serde_json::Value;

use super::age::since;
use super::{age, or_none};
use crate::value::items;

pub(super) const NAMESPACE: &[&str] = &["Name", "Status", "Age"];
pub(super) const NODE: &[&str] = &[
    "Name",
    "Status",
    "Roles",
    "Age",
    "Version",
    "wide:Internal-IP",
    "wide:External-IP",
    "wide:OS-Image",
    "wide:Kernel-Version",
    "wide:Container-Runtime",
];
pub(super) const CONFIG_MAP: &[&str] = &["Name", "Data", "Age"];
pub(super) const SECRET: &[&str] = &["Name", "Type", "Data", "Age"];
pub(super) const EVENT: &[&str] = &[
    "Last Seen",
    "Type",
    "Reason",
    "Object",
    "wide:Subobject",
    "wide:Source",
    "Message",
    "wide:First Seen",
    "wide:Count",
    "wide:Name",
];
pub(super) const LEASE: &[&str] = &["Name", "Holder", "Age"];
pub(super) const DEFINITION: &[&str] = &["Name", "Created At"];

fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn size(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

pub(super) fn namespace(object: &Value) -> Vec<Value> {
    vec![name(object), object["status"]["phase"].clone(), age(object)]
}

pub(super) fn node(object: &Value) -> Vec<Value> {
    let status = &object["status"];
    let ready = items(&status["conditions"]).find(|condition| condition["type"] == "Ready");
    let mut state = match ready.map(|condition| text(&condition["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object();
    let roles =
        labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    let address = |kind: &str| {
        let found = items(&status["addresses"]).find(|address| address["type"] == kind);
        or_none(found.map(|address| text(&address["address"]).to_owned()).unwrap_or_default())
    };
    let info = |field: &str| match text(&status["nodeInfo"][field]) {
        "" => "<unknown>".into(),
        text => Value::from(text),
    };
    vec![
        name(object),
        state.into(),
        or_none(roles.collect::<Vec<_>>().join(",")),
        age(object),
        status["nodeInfo"]["kubeletVersion"].clone(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

pub(super) fn config_map(object: &Value) -> Vec<Value> {
    vec![name(object), (size(&object["data"]) + size(&object["binaryData"])).into(), age(object)]
}

pub(super) fn secret(object: &Value) -> Vec<Value> {
    vec![name(object), object["type"].clone(), size(&object["data"]).into(), age(object)]
}

pub(super) fn event(object: &Value) -> Vec<Value> {
    let involved = &object["involvedObject"];
    let first = [&object["firstTimestamp"], &object["eventTime"]].into_iter().find(|time| time.is_string());
    let last = [&object["series"]["lastObservedTime"], &object["lastTimestamp"]]
        .into_iter()
        .find(|time| time.is_string());
    let since_or_unknown = |time: Option<&Value>| time.map_or_else(|| "<unknown>".into(), since);
    let source = match (text(&object["source"]["component"]), text(&object["source"]["host"])) {
        ("", _) => text(&object["reportingComponent"]).to_owned(),
        (component, "") => component.to_owned(),
        (component, host) => format!("{component}, {host}"),
    };
    let count = object["series"]["count"]
        .as_i64()
        .or(object["count"].as_i64())
        .filter(|count| *count > 0)
        .unwrap_or(1);
    vec![
        since_or_unknown(last.or(first)),
        object["type"].clone(),
        object["reason"].clone(),
        format!("{}/{}", text(&involved["kind"]).to_lowercase(), text(&involved["name"])).into(),
        text(&involved["fieldPath"]).into(),
        source.into(),
        text(&object["message"]).trim().into(),
        since_or_unknown(first),
        count.into(),
        name(object),
    ]
}

pub(super) fn lease(object: &Value) -> Vec<Value> {
    vec![name(object), text(&object["spec"]["holderIdentity"]).into(), age(object)]
}

pub(super) fn definition(object: &Value) -> Vec<Value> {
    vec![name(object), object["metadata"]["creationTimestamp"].clone()]
}
