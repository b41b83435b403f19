//! Defaults of Deployments and ReplicaSets.

use serde_json::{Value, json};

use crate::value::default;

pub(super) fn deployment(spec: &mut Value) {
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    if !spec["strategy"].is_object() {
        spec["strategy"] = json!({});
    }
    let strategy = &mut spec["strategy"];
    default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        if !strategy["rollingUpdate"].is_object() {
            strategy["rollingUpdate"] = json!({});
        }
        default(&mut strategy["rollingUpdate"], "maxUnavailable", "25%");
        default(&mut strategy["rollingUpdate"], "maxSurge", "25%");
    }
    template(spec);
    if spec.get("selector").is_none() {
        spec["selector"] = Value::Null;
    }
}

pub(super) fn replica_set(value: &mut Value) {
    let spec = &mut value["spec"];
    default(spec, "replicas", 1);
    template(spec);
    if spec.get("selector").is_none() {
        spec["selector"] = Value::Null;
    }
}

fn template(spec: &mut Value) {
    if !spec["template"].is_object() {
        spec["template"] = json!({"metadata": {}});
    }
    super::pod::spec(&mut spec["template"]["spec"]);
}
