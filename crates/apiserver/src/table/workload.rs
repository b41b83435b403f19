//! Tables of Deployments and ReplicaSets.

use serde_json::Value;

use super::{age, or_none};
use crate::selector::format_selector;
use crate::value::items;

pub(super) const DEPLOYMENT: &[&str] =
    &["Name", "Ready", "Up-to-date", "Available", "Age", "wide:Containers", "wide:Images", "wide:Selector"];
pub(super) const REPLICA_SET: &[&str] =
    &["Name", "Desired", "Current", "Ready", "Age", "wide:Containers", "wide:Images", "wide:Selector"];

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn wide(object: &Value) -> [Value; 3] {
    let containers = &object["spec"]["template"]["spec"]["containers"];
    let joined = |field: &str| {
        let values: Vec<&str> = items(containers).filter_map(|container| container[field].as_str()).collect();
        Value::from(values.join(","))
    };
    [joined("name"), joined("image"), or_none(format_selector(&object["spec"]["selector"]))]
}

pub(super) fn deployment(object: &Value) -> Vec<Value> {
    let status = &object["status"];
    let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&object["spec"]["replicas"]));
    let mut cells = vec![
        object["metadata"]["name"].clone(),
        ready.into(),
        number(&status["updatedReplicas"]).into(),
        number(&status["availableReplicas"]).into(),
        age(object),
    ];
    cells.extend(wide(object));
    cells
}

pub(super) fn replica_set(object: &Value) -> Vec<Value> {
    let status = &object["status"];
    let mut cells = vec![
        object["metadata"]["name"].clone(),
        number(&object["spec"]["replicas"]).into(),
        number(&status["replicas"]).into(),
        number(&status["readyReplicas"]).into(),
        age(object),
    ];
    cells.extend(wide(object));
    cells
}
