//! Server-side apply.

use http::Method;
use serde_json::{Value, json};

use super::super::step::{
    APPLY, CONFIG_MAPS, DEPLOYMENTS, JSON, MERGE, Step, config_map, container, deployment, item,
};

/// Returns the requests of the sequence `apply`.
pub(super) fn apply() -> Vec<Step> {
    let d = item(DEPLOYMENTS, "d");
    vec![
        Step::apply("one", false, &d, deployment("d", container())),
        Step::apply("one", false, &d, deployment("d", container())),
        Step::apply("two", false, &d, deployment("d", json!([{"name": "c", "image": "i:9"}]))),
        Step::apply("two", true, &d, deployment("d", json!([{"name": "c", "image": "i:9"}]))),
        Step::apply(
            "one",
            false,
            &d,
            deployment("d", json!([{"name": "c", "ports": [{"containerPort": 80}]}])),
        ),
        Step::apply(
            "two",
            false,
            &d,
            deployment("d", json!([{"name": "c", "image": "i:9"}, {"name": "side", "image": "s"}])),
        ),
        Step::apply("two", false, &d, deployment("d", json!([{"name": "side", "image": "s"}]))),
        Step::apply("two", false, &d, deployment("d", json!([{"name": "c", "image": "i:9"}]))),
        Step::patch(APPLY, &d, deployment("d", container())),
        Step::apply(
            "two",
            false,
            &d,
            deployment("d", json!([{"name": "c", "image": "i:9"}, {"name": "c", "image": "x"}])),
        ),
        Step::apply(
            "two",
            false,
            &format!("{d}/status"),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "status": {"replicas": 1}}),
        ),
        Step::apply(
            "two",
            false,
            &d,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}}),
        ),
        Step::patch(MERGE, &d, json!({"spec": {"replicas": 7}})),
        Step::apply("one", false, &d, {
            let mut d = deployment("d", container());
            d["spec"]["replicas"] = 2.into();
            d
        }),
    ]
}

/// Returns the requests of the sequence `apply-map`.
pub(super) fn apply_map() -> Vec<Step> {
    let a = item(CONFIG_MAPS, "a");
    vec![
        Step::apply("one", false, &a, config_map("a", json!({"x": "1", "y": "1"}))),
        Step::apply("two", false, &a, config_map("a", json!({"x": "1", "z": "1"}))),
        Step::apply("one", false, &a, config_map("a", json!({"y": "2"}))),
        Step::apply("two", false, &a, config_map("a", json!({"z": "1"}))),
        Step::apply(
            "one",
            false,
            &a,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"l": "1"}, "finalizers": ["x.io/a"]}, "data": {}}),
        ),
        Step::apply(
            "two",
            false,
            &a,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": ["x.io/b"]}}),
        ),
        Step::new(
            Method::PUT,
            &a,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": ["x.io/b"]}, "data": {"w": "1"}}),
        ),
        Step::apply("one", false, &a, config_map("a", json!({"w": "2"}))),
        Step::apply("one", true, &a, config_map("a", json!({"w": "2"}))),
        Step::new(Method::DELETE, &a, Value::Null),
        Step::patch(MERGE, &a, json!({"metadata": {"finalizers": null}})),
        Step::get(&a),
    ]
}

/// Returns the requests of the sequence `apply-without-metadata`.
pub(super) fn apply_without_metadata() -> Vec<Step> {
    let a = item(CONFIG_MAPS, "a");
    let b = item(CONFIG_MAPS, "b");
    let bare = |metadata: Option<Value>| {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"y": "1"}});
        if let Some(metadata) = metadata {
            map["metadata"] = metadata;
        }
        map
    };
    vec![
        // The name is in the path; metadata that is not in the patch is unchanged.
        Step::apply("one", false, &b, bare(None)),
        Step::post(CONFIG_MAPS, {
            let mut a = config_map("a", json!({"x": "1"}));
            a["metadata"]["labels"] = json!({"l": "1"});
            a["metadata"]["annotations"] = json!({"n": "1"});
            a
        }),
        Step::apply("one", false, &a, bare(None)),
        Step::apply("one", false, &a, bare(None)),
        Step::apply("one", false, &a, bare(Some(json!({})))),
        Step::apply("one", false, &a, bare(Some(Value::Null))),
        Step::apply("one", true, &a, bare(Some(Value::Null))),
        Step::get(&a),
        Step::new(Method::PUT, &a, bare(None)),
        Step::new(Method::PUT, &b, bare(None)),
        Step::patch(MERGE, &a, json!({"metadata": {"name": null}})),
        Step::patch(JSON, &a, json!([{"op": "remove", "path": "/metadata/name"}])),
        Step::get(&a),
        Step::apply("one", false, &b, bare(Some(json!({"name": "b", "labels": {"l": "1"}})))),
        Step::apply("one", false, &b, bare(Some(json!({"name": "b"})))),
        Step::apply("one", false, &b, bare(Some(json!({"name": "b", "labels": {"l": "1"}})))),
        Step::apply("one", false, &b, bare(None)),
        Step::get(&b),
    ]
}
