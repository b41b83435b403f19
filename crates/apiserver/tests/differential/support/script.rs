//! Hand-written sequences of requests.

use std::fmt;

use http::Method;
use serde_json::{Value, json};

/// Collections that the sequences write to.
pub(crate) const RESOURCES: [&str; 6] = [
    "/api/v1/namespaces/{ns}/configmaps",
    "/api/v1/namespaces/{ns}/secrets",
    "/api/v1/namespaces/{ns}/services",
    "/api/v1/namespaces/{ns}/pods",
    "/apis/apps/v1/namespaces/{ns}/deployments",
    "/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses",
];

/// One request. `{ns}` is replaced by the namespace of the sequence.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) body: Value,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.body)
    }
}

impl Step {
    pub(crate) fn new(method: Method, path: &str, body: Value) -> Self {
        Self { method, path: path.to_owned(), content: "application/json", accept: "", body }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path, Value::Null)
    }

    pub(crate) fn post(path: &str, body: Value) -> Self {
        Self::new(Method::POST, path, body)
    }

    pub(crate) fn patch(content: &'static str, path: &str, body: Value) -> Self {
        Self { content, ..Self::new(Method::PATCH, path, body) }
    }

    pub(crate) fn apply(manager: &str, force: bool, path: &str, body: Value) -> Self {
        Self::patch(APPLY, &format!("{path}?fieldManager={manager}&force={force}"), body)
    }
}

pub(crate) const APPLY: &str = "application/apply-patch+yaml";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const JSON: &str = "application/json-patch+json";

const MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{ns}/deployments";
const SERVICES: &str = "/api/v1/namespaces/{ns}/services";

/// A ConfigMap with an unknown field and a duplicate key.
const DUPLICATE_KEY: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "t"}, "dat": {}, "data": {"x": "1", "x": "2"}}"#;

pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub(crate) fn deployment(name: &str, containers: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": containers}},
    }})
}

/// Returns the sequences by name.
pub(crate) fn fixed() -> Vec<(String, Vec<Step>)> {
    let service =
        |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec});
    let one = json!([{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}]);
    let a = format!("{MAPS}/a");
    let d = format!("{DEPLOYMENTS}/d");
    let s = format!("{SERVICES}/s");
    let b = format!("{MAPS}/b");
    let bare = |metadata: Option<Value>| {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"y": "1"}});
        if let Some(metadata) = metadata {
            map["metadata"] = metadata;
        }
        map
    };
    vec![
        (
            "create".to_owned(),
            vec![
                Step::post(MAPS, config_map("a", json!({"x": "1"}))),
                Step::post(MAPS, config_map("a", json!({"x": "1"}))),
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}}),
                ),
                Step::post(MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})),
                Step::post(MAPS, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})),
                Step::post(MAPS, json!("{bad")),
                Step::post(MAPS, json!("[]")),
                Step::post(&format!("{MAPS}?dryRun=All"), config_map("dry", json!({"x": "1"}))),
                Step::get(&format!("{MAPS}/dry")),
                Step::get(&a),
                Step::get("/api/v1/namespaces/{ns}/nothings"),
                Step::get("/apis/nothing.io/v1/things"),
                Step::post("/api/v1/namespaces/not-there/configmaps", config_map("a", json!({}))),
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}}),
                ),
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "v", "resourceVersion": "1"}}),
                ),
                Step::post(MAPS, config_map("BAD", json!({"a b": "c"}))),
            ],
        ),
        (
            "strict".to_owned(),
            vec![
                Step::post(
                    &format!("{MAPS}?fieldValidation=Strict"),
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}),
                ),
                Step::post(
                    &format!("{MAPS}?fieldValidation=Warn"),
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}),
                ),
                Step::post(
                    &format!("{MAPS}?fieldValidation=Ignore"),
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "dat": {}}),
                ),
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": 1}}),
                ),
                Step::post(
                    DEPLOYMENTS,
                    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n"}, "spec": {"replicas": "1"}}),
                ),
                Step::apply(
                    "m",
                    false,
                    &format!("{MAPS}/c"),
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dat": {}}),
                ),
                Step::patch(MERGE, &format!("{a}?fieldValidation=Strict"), json!({"dat": {"a": "b"}})),
                Step::patch(MERGE, &format!("{a}?fieldValidation=Warn"), json!({"dat": {"a": "b"}})),
                Step::patch(MERGE, &a, json!({"data": {"a": 1}})),
                Step::post(&format!("{MAPS}?fieldValidation=Strict"), json!(DUPLICATE_KEY)),
                Step::post(&format!("{MAPS}?fieldValidation=Warn"), json!(DUPLICATE_KEY)),
            ],
        ),
        (
            "update".to_owned(),
            vec![
                Step::post(MAPS, config_map("a", json!({"x": "1"}))),
                Step::new(Method::PUT, &a, config_map("a", json!({"y": "2"}))),
                Step::new(
                    Method::PUT,
                    &a,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}}),
                ),
                Step::new(Method::PUT, &a, config_map("b", json!({}))),
                Step::new(Method::PUT, &format!("{MAPS}/none"), config_map("none", json!({}))),
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
            ],
        ),
        (
            "patches".to_owned(),
            vec![
                Step::post(DEPLOYMENTS, deployment("d", one.clone())),
                Step::patch(
                    MERGE,
                    &d,
                    json!({"spec": {"replicas": 3}, "metadata": {"annotations": {"k": "v"}}}),
                ),
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
            ],
        ),
        (
            "apply".to_owned(),
            vec![
                Step::apply("one", false, &d, deployment("d", one.clone())),
                Step::apply("one", false, &d, deployment("d", one.clone())),
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
                Step::patch(APPLY, &d, deployment("d", one.clone())),
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
                    let mut d = deployment("d", one.clone());
                    d["spec"]["replicas"] = 2.into();
                    d
                }),
            ],
        ),
        (
            "apply-map".to_owned(),
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
            ],
        ),
        (
            "apply-without-metadata".to_owned(),
            vec![
                // The name is in the path; metadata that is not in the patch is unchanged.
                Step::apply("one", false, &b, bare(None)),
                Step::post(MAPS, {
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
            ],
        ),
        (
            "delete".to_owned(),
            vec![
                Step::post(MAPS, config_map("a", json!({"x": "1"}))),
                Step::new(Method::DELETE, &format!("{a}?dryRun=All"), Value::Null),
                Step::new(
                    Method::DELETE,
                    &a,
                    json!({"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}}),
                ),
                Step::new(Method::DELETE, &a, Value::Null),
                Step::new(Method::DELETE, &a, Value::Null),
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "f", "finalizers": ["x.io/y"]}}),
                ),
                Step::new(Method::DELETE, &format!("{MAPS}/f"), Value::Null),
                Step::new(Method::DELETE, &format!("{MAPS}/f"), Value::Null),
                Step::patch(
                    JSON,
                    &format!("{MAPS}/f"),
                    json!([{"op": "remove", "path": "/metadata/finalizers"}]),
                ),
                Step::get(&format!("{MAPS}/f")),
                Step::post(DEPLOYMENTS, deployment("d", one.clone())),
                Step::new(Method::DELETE, &d, json!({"propagationPolicy": "Foreground"})),
                Step::patch(MERGE, &d, json!({"metadata": {"finalizers": null}})),
                Step::get(&d),
                Step::post(DEPLOYMENTS, deployment("d", one.clone())),
                Step::new(Method::DELETE, &d, Value::Null),
                Step::post(SERVICES, service(json!({"ports": [{"port": 80}]}))),
                Step::new(Method::DELETE, &s, Value::Null),
                Step::post(MAPS, config_map("l1", json!({}))),
                Step::post(MAPS, config_map("l2", json!({}))),
                Step::new(Method::DELETE, &format!("{MAPS}?fieldSelector=metadata.name%3Dl1"), Value::Null),
                Step::new(Method::DELETE, MAPS, Value::Null),
            ],
        ),
        (
            "list".to_owned(),
            vec![
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"k": "1"}}}),
                ),
                Step::post(
                    MAPS,
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "labels": {"k": "2"}}}),
                ),
                Step::post(MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})),
                Step::get(MAPS),
                Step::get(&format!("{MAPS}?limit=2")),
                Step::get(&format!("{MAPS}?labelSelector=k%3D1")),
                Step::get(&format!("{MAPS}?labelSelector=k%20in%20(1,2)")),
                Step::get(&format!("{MAPS}?labelSelector=!k")),
                Step::get(&format!("{MAPS}?labelSelector=k%3D%3D%3D")),
                Step::get(&format!("{MAPS}?fieldSelector=metadata.name!%3Da")),
                Step::get(&format!("{MAPS}?fieldSelector=data.x%3Da")),
                Step::get(&format!("{MAPS}?continue=garbage")),
                Step::get(&format!("{MAPS}?resourceVersion=x")),
                Step::get(&format!("{MAPS}?watch=1&timeoutSeconds=1")),
                Step::get(&format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=0")),
                Step::get(&format!(
                    "{MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
                )),
                Step::get(&format!("{MAPS}?watch=1&timeoutSeconds=1&labelSelector=k")),
            ],
        ),
        (
            "services".to_owned(),
            vec![
                Step::post(SERVICES, service(json!({"ports": [{"port": 80}], "selector": {"a": "b"}}))),
                Step::apply("m", false, &s, service(json!({"ports": [{"port": 81, "name": "x"}]}))),
                Step::patch(MERGE, &s, json!({"spec": {"type": "NodePort"}})),
                Step::patch(MERGE, &s, json!({"spec": {"type": "ClusterIP"}})),
                Step::patch(MERGE, &s, json!({"spec": {"clusterIP": "10.96.9.9"}})),
                Step::new(Method::DELETE, &s, Value::Null),
                Step::post(SERVICES, service(json!({}))),
                Step::post(SERVICES, service(json!({"ports": [{"port": 80}, {"port": 81}]}))),
                Step::post(SERVICES, service(json!({"clusterIP": "None"}))),
                Step::new(Method::DELETE, &s, Value::Null),
                Step::post(SERVICES, service(json!({"type": "ExternalName", "externalName": "a.example"}))),
            ],
        ),
        (
            "scale".to_owned(),
            vec![
                Step::post(DEPLOYMENTS, deployment("d", one.clone())),
                Step::get(&format!("{d}/scale")),
                Step::patch(MERGE, &format!("{d}/scale"), json!({"spec": {"replicas": 4}})),
                Step::patch(MERGE, &format!("{d}/scale"), json!({"spec": {"replicas": -4}})),
                Step::new(
                    Method::PUT,
                    &format!("{d}/scale"),
                    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d", "namespace": "{ns}"}, "spec": {"replicas": 2}}),
                ),
                Step::get(&d),
                Step::patch(
                    MERGE,
                    &format!("{d}/status"),
                    json!({"status": {"replicas": 2, "observedGeneration": 1}, "spec": {"replicas": 9}}),
                ),
                Step::get(&format!("{d}/status")),
            ],
        ),
        (
            "pods".to_owned(),
            vec![
                Step::post(
                    "/api/v1/namespaces/{ns}/pods",
                    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
                {"name": "c", "image": "i", "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}, "readinessProbe": {"httpGet": {"port": 80}}}],
                "volumes": [{"name": "v", "configMap": {"name": "x"}}, {"name": "e"}]}}),
                ),
                Step::patch(MERGE, "/api/v1/namespaces/{ns}/pods/p", json!({"spec": {"hostNetwork": true}})),
                Step::patch(
                    STRATEGIC,
                    "/api/v1/namespaces/{ns}/pods/p",
                    json!({"spec": {"containers": [{"name": "c", "image": "j"}]}}),
                ),
                Step::patch(
                    MERGE,
                    "/api/v1/namespaces/{ns}/pods/p/status",
                    json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
                ),
                Step::new(Method::DELETE, "/api/v1/namespaces/{ns}/pods/p", Value::Null),
                Step::post(
                    "/api/v1/namespaces/{ns}/pods",
                    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"}, "spec": {"containers": []}}),
                ),
            ],
        ),
    ]
}
