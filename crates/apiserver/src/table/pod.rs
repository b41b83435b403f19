//! Table of pods.

use serde_json::{Value, json};

use super::age;
use super::age::since;
use crate::value::items;

pub(super) const COLUMNS: &[&str] = &[
    "Name",
    "Ready",
    "Status",
    "Restarts",
    "Age",
    "wide:IP",
    "wide:Node",
    "wide:Nominated Node",
    "wide:Readiness Gates",
];

pub(super) fn cells(pod: &Value) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let restartable = |name: &Value| {
        items(&spec["initContainers"])
            .any(|container| container["name"] == *name && container["restartPolicy"] == "Always")
    };
    let sidecars: Vec<&Value> =
        items(&status["initContainerStatuses"]).filter(|found| restartable(&found["name"])).collect();
    let total = items(&spec["containers"]).count()
        + items(&spec["initContainers"]).filter(|container| container["restartPolicy"] == "Always").count();
    let running = items(&status["containerStatuses"]).chain(sidecars.iter().copied());
    let ready = running
        .clone()
        .filter(|found| found["ready"] == true && !found["state"]["running"].is_null())
        .count();
    let mut restarts = 0;
    let mut last = Value::Null;
    for found in running {
        restarts += found["restartCount"].as_i64().unwrap_or_default();
        let finished = &found["lastState"]["terminated"]["finishedAt"];
        if finished.as_str() > last.as_str() {
            last = finished.clone();
        }
    }
    let restarts = match (restarts, &last) {
        (1.., Value::String(_)) => format!("{restarts} ({} ago)", since(&last).as_str().unwrap_or_default()),
        _ => restarts.to_string(),
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).unwrap_or("<none>").to_owned();
    vec![
        pod["metadata"]["name"].clone(),
        format!("{ready}/{total}").into(),
        status_text(pod).into(),
        restarts.into(),
        age(pod),
        text(&status["podIP"]).into(),
        text(&spec["nodeName"]).into(),
        text(&status["nominatedNodeName"]).into(),
        json!("<none>"),
    ]
}

/// Returns the status of a pod, as in kubectl: the phase, or the reason of a container that is waiting or terminated.
fn status_text(pod: &Value) -> String {
    let status = &pod["status"];
    let phase = status["phase"].as_str().unwrap_or("Unknown");
    let mut reason = status["reason"].as_str().unwrap_or(phase).to_owned();
    let inits: Vec<&Value> = items(&pod["spec"]["initContainers"]).collect();
    let mut initializing = false;
    for (index, found) in items(&status["initContainerStatuses"]).enumerate() {
        let state = &found["state"];
        let sidecar = inits.get(index).is_some_and(|container| container["restartPolicy"] == "Always");
        if state["terminated"]["exitCode"] == 0 || (sidecar && found["started"] == true) {
            continue;
        }
        reason = match (&state["terminated"], state["waiting"]["reason"].as_str()) {
            (Value::Object(_), _) => format!("Init:{}", termination_reason(&state["terminated"])),
            (_, Some(waiting)) if waiting != "PodInitializing" => format!("Init:{waiting}"),
            _ => format!("Init:{index}/{}", inits.len()),
        };
        initializing = true;
        break;
    }
    if !initializing {
        let mut running = false;
        for found in items(&status["containerStatuses"]).rev() {
            let state = &found["state"];
            if let Some(waiting) = state["waiting"]["reason"].as_str() {
                reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                reason = termination_reason(&state["terminated"]);
            } else if found["ready"] == true && state["running"].is_object() {
                running = true;
            }
        }
        if reason == "Completed" && running {
            let ready = items(&status["conditions"])
                .any(|found| found["type"] == "Ready" && found["status"] == "True");
            reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
    match pod["metadata"]["deletionTimestamp"].is_string() {
        true if status["reason"] == "NodeLost" => "Unknown".to_owned(),
        true if !matches!(phase, "Succeeded" | "Failed") => "Terminating".to_owned(),
        _ => reason,
    }
}

fn termination_reason(terminated: &Value) -> String {
    match (
        terminated["reason"].as_str().filter(|text| !text.is_empty()),
        terminated["signal"].as_i64().unwrap_or_default(),
    ) {
        (Some(reason), _) => reason.to_owned(),
        (None, 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or_default()),
        (None, signal) => format!("Signal:{signal}"),
    }
}
