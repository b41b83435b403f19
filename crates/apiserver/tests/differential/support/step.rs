//! Requests and the objects in them.

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

pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{ns}/deployments";
pub(crate) const SERVICES: &str = "/api/v1/namespaces/{ns}/services";

/// Returns the path of an object in a collection.
pub(crate) fn item(collection: &str, name: &str) -> String {
    format!("{collection}/{name}")
}

/// Returns a ConfigMap.
pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// Returns a Deployment with these containers.
pub(crate) fn deployment(name: &str, containers: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": containers}},
    }})
}

/// Returns the container of most sequences, in a list.
pub(crate) fn container() -> Value {
    json!([{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}])
}

/// Returns a Service `s` with this spec.
pub(crate) fn service(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec})
}
