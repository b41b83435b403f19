//! Patches.

use serde_json::json;

use super::super::step::{DEPLOYMENTS, JSON, MERGE, STRATEGIC, Step, container, deployment, item};

/// Returns the requests of the sequence `patches`.
pub(super) fn patches() -> Vec<Step> {
    let d = item(DEPLOYMENTS, "d");
    vec![
        Step::post(DEPLOYMENTS, deployment("d", container())),
        Step::patch(MERGE, &d, json!({"spec": {"replicas": 3}, "metadata": {"annotations": {"k": "v"}}})),
        Step::patch(
            STRATEGIC,
            &d,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}, {"name": "n", "image": "j"}]}}}}),
        ),
        Step::patch(
            STRATEGIC,
            &d,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "n", "$patch": "delete"}], "$setElementOrder/containers": [{"name": "c"}]}}}}),
        ),
        Step::patch(
            STRATEGIC,
            &d,
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        ),
        Step::patch(
            STRATEGIC,
            &d,
            json!({"spec": {"template": {"spec": {"containers": [{"image": "nameless"}]}}}}),
        ),
        Step::patch(
            JSON,
            &d,
            json!([{"op": "replace", "path": "/spec/replicas", "value": 5}, {"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]),
        ),
        Step::patch(JSON, &d, json!([{"op": "test", "path": "/spec/replicas", "value": 9}])),
        Step::patch(JSON, &d, json!([{"op": "remove", "path": "/spec/nothing"}])),
        Step::patch(JSON, &d, json!({"op": "remove"})),
        Step::patch(MERGE, &d, json!({"spec": {"selector": {"matchLabels": {"z": "z"}}}})),
        Step::patch(MERGE, &d, json!({"spec": {"replicas": -1}})),
        Step::patch(MERGE, &d, json!({"metadata": {"resourceVersion": "1"}})),
        Step::patch(MERGE, &d, json!({"metadata": {"name": "other"}})),
        Step::patch(MERGE, &d, json!({"spec": {"replicas": 5}})),
        Step::patch("text/plain", &d, json!({})),
        Step::patch(MERGE, &format!("{DEPLOYMENTS}/none"), json!({})),
    ]
}

/// Returns JSON patches of all operations, with valid and invalid paths and values.
pub(super) fn json_patch() -> Vec<Step> {
    const ARGS: &str = "/spec/template/spec/containers/0/args";
    let d = item(DEPLOYMENTS, "d");
    let container = json!([{"name": "c", "image": "i:1", "args": ["a", "b", "c"]}]);
    let mut steps = vec![Step::post(DEPLOYMENTS, deployment("d", container))];
    let patches = [
        json!([]),
        json!([{"op": "replace", "path": "/metadata/annotations", "value": {"k": "v"}}]),
        json!([{"op": "replace", "path": "/metadata/missing/k", "value": "v"}]),
        json!([{"op": "replace", "path": "/metadata/annotations/new", "value": "v"}]),
        json!([{"op": "test", "path": "/metadata/labels", "value": null}]),
        json!([{"op": "test", "path": "/metadata/labels"}]),
        json!([{"op": "test", "path": "/metadata/missing/k", "value": null}]),
        json!([{"op": "test", "path": "/spec/replicas", "value": null}]),
        json!([{"op": "test", "path": "/spec/replicas", "value": 1}]),
        json!([{"op": "test", "path": "/spec/replicas", "value": "1"}]),
        json!([{"op": "test", "path": format!("{ARGS}/0"), "value": "a"}]),
        json!([{"op": "test", "path": format!("{ARGS}/9"), "value": null}]),
        json!([{"op": "add", "path": "/metadata/labels"}]),
        json!([{"op": "add", "path": "/metadata/missing/k", "value": "v"}]),
        json!([{"op": "add", "path": "/metadata/annotations/x~1y", "value": "1"}]),
        json!([{"op": "add", "path": "/metadata/annotations/x~01", "value": "1"}]),
        json!([{"op": "remove", "path": "/metadata/annotations/x~1y"}]),
        json!([{"op": "remove", "path": "/metadata/annotations/missing"}]),
        json!([{"op": "move", "from": "/metadata/annotations/k", "path": "/metadata/annotations/moved"}]),
        json!([{"op": "move", "from": "/metadata/annotations/missing", "path": "/metadata/annotations/moved"}]),
        json!([{"op": "move", "from": "/metadata/annotations", "path": "/metadata/annotations/inside"}]),
        json!([{"op": "move", "from": format!("{ARGS}/0"), "path": format!("{ARGS}/2")}]),
        json!([{"op": "copy", "from": "/spec/template/metadata/labels", "path": "/metadata/labels"}]),
        json!([{"op": "copy", "from": "/metadata/missing", "path": "/metadata/labels"}]),
        json!([{"op": "copy", "path": "/metadata/labels"}]),
        json!([{"op": "add", "path": format!("{ARGS}/-"), "value": "end"}]),
        json!([{"op": "add", "path": format!("{ARGS}/0"), "value": "first"}]),
        json!([{"op": "add", "path": format!("{ARGS}/9"), "value": "beyond"}]),
        json!([{"op": "add", "path": format!("{ARGS}/x"), "value": "not a number"}]),
        json!([{"op": "add", "path": format!("{ARGS}/-1"), "value": "negative"}]),
        json!([{"op": "add", "path": format!("{ARGS}/01"), "value": "leading zero"}]),
        json!([{"op": "replace", "path": format!("{ARGS}/1"), "value": "second"}]),
        json!([{"op": "replace", "path": format!("{ARGS}/-1"), "value": "negative"}]),
        json!([{"op": "replace", "path": format!("{ARGS}/9"), "value": "beyond"}]),
        json!([{"op": "replace", "path": format!("{ARGS}/-"), "value": "end"}]),
        json!([{"op": "remove", "path": format!("{ARGS}/0")}]),
        json!([{"op": "remove", "path": format!("{ARGS}/-1")}]),
        json!([{"op": "remove", "path": format!("{ARGS}/-")}]),
        json!([{"op": "remove", "path": format!("{ARGS}/9")}]),
        json!([{"op": "remove", "path": "spec"}]),
        json!([{"op": "remove", "path": ""}]),
        json!([{"op": "add", "path": "", "value": {}}]),
        json!([{"op": "replace", "path": "", "value": deployment("d", json!([{"name": "c", "image": "i:9"}]))}]),
        json!([{"op": "test", "path": "", "value": {}}]),
        json!([{"op": "Remove", "path": "/metadata/annotations"}]),
        json!([{"path": "/metadata/annotations"}]),
        json!([{"op": "remove"}]),
        json!([{"op": "remove", "path": 5}]),
        json!(["remove"]),
        json!([{"op": "add", "path": "/spec/replicas", "value": 2}, {"op": "test", "path": "/spec/replicas", "value": 9}]),
        json!([{"op": "add", "path": "/spec/replicas", "value": 3, "unknown": true}]),
    ];
    steps.extend(patches.into_iter().map(|patch| Step::patch(JSON, &d, patch)));
    let unknown = json!([{"op": "add", "path": "/spec/replicas", "value": 3, "unknown": true}]);
    let duplicate = [
        (JSON, r#"[{"op": "add", "op": "test", "path": "/spec/replicas", "value": 3}]"#),
        (MERGE, r#"{"spec": {"replicas": 4, "replicas": 3}}"#),
        (STRATEGIC, r#"{"spec": {"replicas": 4, "replicas": 3}}"#),
    ];
    for validation in ["Ignore", "Warn", "Strict"] {
        let path = format!("{d}?fieldValidation={validation}");
        steps.push(Step::patch(JSON, &path, unknown.clone()));
        steps.extend(duplicate.iter().map(|(content, body)| Step::patch(content, &path, json!(body))));
    }
    steps.push(Step::get(&d));
    steps
}
