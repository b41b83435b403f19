//! ConfigMaps: create, update, delete and list.

use http::Method;
use serde_json::{Value, json};

use super::super::step::{
    CONFIG_MAPS, DEPLOYMENTS, JSON, MERGE, SERVICES, Step, config_map, container, deployment, item, service,
};

/// A ConfigMap with an unknown field and a duplicate key.
const DUPLICATE_KEY: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "t"}, "dat": {}, "data": {"x": "1", "x": "2"}}"#;

/// Returns the requests of the sequence `create`.
pub(super) fn create() -> Vec<Step> {
    let a = item(CONFIG_MAPS, "a");
    vec![
        Step::post(CONFIG_MAPS, config_map("a", json!({"x": "1"}))),
        Step::post(CONFIG_MAPS, config_map("a", json!({"x": "1"}))),
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}}),
        ),
        Step::post(CONFIG_MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})),
        Step::post(CONFIG_MAPS, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})),
        Step::post(CONFIG_MAPS, json!("{bad")),
        Step::post(CONFIG_MAPS, json!("[]")),
        Step::post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("dry", json!({"x": "1"}))),
        Step::get(&format!("{CONFIG_MAPS}/dry")),
        Step::get(&a),
        Step::get("/api/v1/namespaces/{ns}/nothings"),
        Step::get("/apis/nothing.io/v1/things"),
        Step::post("/api/v1/namespaces/not-there/configmaps", config_map("a", json!({}))),
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}}),
        ),
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "v", "resourceVersion": "1"}}),
        ),
        Step::post(CONFIG_MAPS, config_map("BAD", json!({"a b": "c"}))),
    ]
}

/// Returns the requests of the sequence `strict`.
pub(super) fn strict() -> Vec<Step> {
    let a = item(CONFIG_MAPS, "a");
    vec![
        Step::post(
            &format!("{CONFIG_MAPS}?fieldValidation=Strict"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}),
        ),
        Step::post(
            &format!("{CONFIG_MAPS}?fieldValidation=Warn"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}),
        ),
        Step::post(
            &format!("{CONFIG_MAPS}?fieldValidation=Ignore"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "dat": {}}),
        ),
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": 1}}),
        ),
        Step::post(
            DEPLOYMENTS,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n"}, "spec": {"replicas": "1"}}),
        ),
        Step::apply(
            "m",
            false,
            &format!("{CONFIG_MAPS}/c"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dat": {}}),
        ),
        Step::patch(MERGE, &format!("{a}?fieldValidation=Strict"), json!({"dat": {"a": "b"}})),
        Step::patch(MERGE, &format!("{a}?fieldValidation=Warn"), json!({"dat": {"a": "b"}})),
        Step::patch(MERGE, &a, json!({"data": {"a": 1}})),
        Step::post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), json!(DUPLICATE_KEY)),
        Step::post(&format!("{CONFIG_MAPS}?fieldValidation=Warn"), json!(DUPLICATE_KEY)),
    ]
}

/// Returns the requests of the sequence `update`.
pub(super) fn update() -> Vec<Step> {
    let a = item(CONFIG_MAPS, "a");
    vec![
        Step::post(CONFIG_MAPS, config_map("a", json!({"x": "1"}))),
        Step::new(Method::PUT, &a, config_map("a", json!({"y": "2"}))),
        Step::new(
            Method::PUT,
            &a,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}}),
        ),
        Step::new(Method::PUT, &a, config_map("b", json!({}))),
        Step::new(Method::PUT, &format!("{CONFIG_MAPS}/none"), config_map("none", json!({}))),
        Step::new(
            Method::PUT,
            &a,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "11111111-1111-1111-1111-111111111111"}}),
        ),
        Step::new(
            Method::PUT,
            &a,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"y": "2"}, "immutable": true}),
        ),
        Step::new(Method::PUT, &a, config_map("a", json!({"y": "3"}))),
    ]
}

/// Returns the requests of the sequence `delete`.
pub(super) fn delete() -> Vec<Step> {
    let a = item(CONFIG_MAPS, "a");
    let d = item(DEPLOYMENTS, "d");
    let s = item(SERVICES, "s");
    vec![
        Step::post(CONFIG_MAPS, config_map("a", json!({"x": "1"}))),
        Step::new(Method::DELETE, &format!("{a}?dryRun=All"), Value::Null),
        Step::new(
            Method::DELETE,
            &a,
            json!({"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}}),
        ),
        Step::new(Method::DELETE, &a, Value::Null),
        Step::new(Method::DELETE, &a, Value::Null),
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "f", "finalizers": ["x.io/y"]}}),
        ),
        Step::new(Method::DELETE, &format!("{CONFIG_MAPS}/f"), Value::Null),
        Step::new(Method::DELETE, &format!("{CONFIG_MAPS}/f"), Value::Null),
        Step::patch(
            JSON,
            &format!("{CONFIG_MAPS}/f"),
            json!([{"op": "remove", "path": "/metadata/finalizers"}]),
        ),
        Step::get(&format!("{CONFIG_MAPS}/f")),
        Step::post(DEPLOYMENTS, deployment("d", container())),
        Step::new(Method::DELETE, &d, json!({"propagationPolicy": "Foreground"})),
        Step::patch(MERGE, &d, json!({"metadata": {"finalizers": null}})),
        Step::get(&d),
        Step::post(DEPLOYMENTS, deployment("d", container())),
        Step::new(Method::DELETE, &d, Value::Null),
        Step::post(SERVICES, service(json!({"ports": [{"port": 80}]}))),
        Step::new(Method::DELETE, &s, Value::Null),
        Step::post(CONFIG_MAPS, config_map("l1", json!({}))),
        Step::post(CONFIG_MAPS, config_map("l2", json!({}))),
        Step::new(Method::DELETE, &format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Dl1"), Value::Null),
        Step::new(Method::DELETE, CONFIG_MAPS, Value::Null),
    ]
}

/// Returns the requests of the sequence `list`.
pub(super) fn list() -> Vec<Step> {
    vec![
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"k": "1"}}}),
        ),
        Step::post(
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "labels": {"k": "2"}}}),
        ),
        Step::post(CONFIG_MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})),
        Step::get(CONFIG_MAPS),
        Step::get(&format!("{CONFIG_MAPS}?limit=2")),
        Step::get(&format!("{CONFIG_MAPS}?labelSelector=k%3D1")),
        Step::get(&format!("{CONFIG_MAPS}?labelSelector=k%20in%20(1,2)")),
        Step::get(&format!("{CONFIG_MAPS}?labelSelector=!k")),
        Step::get(&format!("{CONFIG_MAPS}?labelSelector=k%3D%3D%3D")),
        Step::get(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name!%3Da")),
        Step::get(&format!("{CONFIG_MAPS}?fieldSelector=data.x%3Da")),
        Step::get(&format!("{CONFIG_MAPS}?continue=garbage")),
        Step::get(&format!("{CONFIG_MAPS}?resourceVersion=x")),
        Step::get(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1")),
        Step::get(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1&resourceVersion=0")),
        Step::get(&format!(
            "{CONFIG_MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        )),
        Step::get(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1&labelSelector=k")),
    ]
}
