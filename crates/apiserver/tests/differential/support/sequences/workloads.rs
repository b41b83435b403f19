//! Services, scale and pods.

use http::Method;
use serde_json::{Value, json};

use super::super::step::{
    DEPLOYMENTS, MERGE, SERVICES, STRATEGIC, Step, container, deployment, item, service,
};

/// Returns the requests of the sequence `services`.
pub(super) fn services() -> Vec<Step> {
    let s = item(SERVICES, "s");
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
    ]
}

/// Returns the requests of the sequence `scale`.
pub(super) fn scale() -> Vec<Step> {
    let d = item(DEPLOYMENTS, "d");
    vec![
        Step::post(DEPLOYMENTS, deployment("d", container())),
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
    ]
}

/// Returns the requests of the sequence `pods`.
pub(super) fn pods() -> Vec<Step> {
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
    ]
}

/// Returns the requests of the sequence `node-ports`.
pub(super) fn node_ports() -> Vec<Step> {
    let node_port = |name: &str, ports: Value| {
        let mut service = service(json!({"type": "NodePort", "ports": ports}));
        service["metadata"]["name"] = name.into();
        service
    };
    let one = |port: i64| json!([{"port": 80, "nodePort": port}]);
    let s = item(SERVICES, "s");
    let o = item(SERVICES, "o");
    vec![
        Step::post(&format!("{SERVICES}?dryRun=All"), node_port("s", one(30123))),
        Step::post(SERVICES, node_port("s", one(30123))),
        Step::post(SERVICES, node_port("o", one(30123))),
        Step::post(SERVICES, node_port("o", one(80))),
        Step::post(
            SERVICES,
            node_port(
                "o",
                json!([{"port": 80, "nodePort": 30125, "name": "a"}, {"port": 81, "nodePort": 30125, "name": "b"}]),
            ),
        ),
        Step::patch(MERGE, &format!("{s}?dryRun=All"), json!({"spec": {"ports": one(30124)}})),
        Step::patch(MERGE, &s, json!({"spec": {"ports": one(30124)}})),
        Step::post(SERVICES, node_port("o", one(30123))),
        Step::patch(MERGE, &o, json!({"spec": {"ports": one(30124)}})),
        Step::patch(MERGE, &o, json!({"spec": {"type": "ClusterIP"}})),
        Step::patch(MERGE, &s, json!({"spec": {"ports": one(30123)}})),
        Step::new(Method::DELETE, &s, Value::Null),
        Step::patch(MERGE, &o, json!({"spec": {"type": "NodePort", "ports": one(30123)}})),
    ]
}
