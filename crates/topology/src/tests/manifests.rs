//! The objects of a topology.

use serde_json::{Value, json};

use super::parse::EVERYTHING;
use crate::{ManifestOptions, NodeConfig, Topology, entry_hosts, manifests, manifests_yaml};

fn options(namespace: &str) -> ManifestOptions {
    ManifestOptions {
        namespace: namespace.to_owned(),
        image: "localhost:5000/service:v1".to_owned(),
        inject: true,
    }
}

fn everything() -> Topology {
    Topology::parse("everything.yaml", EVERYTHING).unwrap()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).expect(name)
}

#[test]
fn each_service_gets_its_objects_and_the_entry_point_an_ingress() {
    let objects = manifests(&everything(), &options("lab"));
    assert_eq!(objects.len(), 1 + 3 * 5 + 1);
    assert_eq!(objects[0]["kind"], "Namespace");
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "meshy");
        let namespace = if object["kind"] == "Namespace" { Value::Null } else { json!("lab") };
        assert_eq!(object["metadata"]["namespace"], namespace);
    }
    let deployment = find(&objects, "Deployment", "price");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let template = &deployment["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["linkerd.io/inject"], "enabled");
    assert_eq!(template["metadata"]["labels"]["app"], deployment["spec"]["selector"]["matchLabels"]["app"]);
    assert_eq!(template["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    let service = find(&objects, "Service", "price");
    assert_eq!(service["spec"]["ports"], json!([{ "name": "http", "port": 8080, "targetPort": "http" }]));
    let ingress = find(&objects, "Ingress", "front");
    assert_eq!(ingress["spec"]["rules"][0]["host"], "lab.example.com");
    let without = ManifestOptions { inject: false, ..options("default") };
    let objects = manifests(&everything(), &without);
    assert_eq!(objects[0]["kind"], "ServiceAccount", "every cluster has the namespace default");
    let annotations = &find(&objects, "Deployment", "price")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["linkerd.io/inject"], "disabled");
}

#[test]
fn the_node_configuration_is_the_document_that_the_test_service_reads() {
    let objects = manifests(&everything(), &options("lab"));
    let env = |name: &str, variable: &str| {
        let env = &find(&objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]["env"];
        let found = env.as_array().unwrap().iter().find(|entry| entry["name"] == variable).unwrap();
        found["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (env("cart", "SERVICE_PORT"), env("cart", "ADMIN_PORT")),
        ("8080".to_owned(), "9091".to_owned())
    );
    let call = |service: &str, probability: f64| {
        let url = format!("http://{service}.lab.svc.cluster.local:8080/");
        json!({ "call": { "service": service, "url": url, "optional": false, "probability": probability, "requestBytes": 0 } })
    };
    let cart: Value = serde_json::from_str(&env("cart", "NODE")).unwrap();
    let script = json!([{ "sleepMs": 1.5 }, call("price", 1.0), { "parallel": [call("stock", 0.07), { "sleepMs": 2000.0 }] }]);
    assert_eq!(cart, json!({ "name": "cart", "script": script, "errors": 0.0, "responseBytes": 0 }));
    let price = env("price", "NODE");
    assert_eq!(
        serde_json::from_str::<Value>(&price).unwrap()["capacity"],
        json!({ "workers": 8, "queue": 32, "serviceTimeMs": 10.0, "distribution": "exponential", "cancel": true })
    );
    let config: NodeConfig = serde_json::from_str(&price).unwrap();
    assert_eq!(serde_json::to_string(&config).unwrap(), price);
    let unknown = price.replace("workers", "worker");
    assert!(
        serde_json::from_str::<NodeConfig>(&unknown)
            .unwrap_err()
            .to_string()
            .contains("unknown field `worker`")
    );
}

#[test]
fn a_grpc_service_is_called_by_its_scheme() {
    let text = "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: { name: calls }\nservices:\n\
                - { name: front, entrypoint: true, calls: [price, stock] }\n- { name: price, type: grpc }\n- { name: stock }\n";
    let topology = Topology::parse("x.yaml", text).unwrap();
    let objects = manifests(&topology, &options("lab"));
    let env = &find(&objects, "Deployment", "front")["spec"]["template"]["spec"]["containers"][0]["env"];
    let node: Value = serde_json::from_str(env[0]["value"].as_str().unwrap()).unwrap();
    let urls: Vec<_> = node["script"].as_array().unwrap().iter().map(|step| &step["call"]["url"]).collect();
    assert_eq!(
        urls,
        ["grpc://price.lab.svc.cluster.local:8080/", "http://stock.lab.svc.cluster.local:8080/"]
    );
    let ports = &find(&objects, "Service", "price")["spec"]["ports"][0];
    assert_eq!((&ports["name"], &ports["appProtocol"]), (&json!("grpc"), &json!("kubernetes.io/h2c")));
}

#[test]
fn the_kubelet_probes_the_port_that_the_file_names() {
    let text = "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: { name: x }\nservices:\n  \
                - { name: a, entrypoint: true, calls: [b] }\n  - { name: b, probes: service }\n";
    let topology = Topology::parse("x.yaml", text).unwrap();
    assert_eq!(Topology::parse("x.yaml", &topology.to_yaml()).unwrap(), topology);
    let objects = manifests(&topology, &options("lab"));
    let probed = |name: &str| {
        let found = objects.iter().find(|one| one["kind"] == "Deployment" && one["metadata"]["name"] == name);
        let container = &found.unwrap()["spec"]["template"]["spec"]["containers"][0];
        container["readinessProbe"]["httpGet"]["port"].as_u64()
    };
    assert_eq!((probed("a"), probed("b")), (Some(9091), Some(8080)));
}

#[test]
fn the_yaml_text_contains_the_same_objects() {
    // `on` and `y` are booleans for kubectl's YAML 1.1.
    let text = EVERYTHING.replace("price", "on").replace("stock", "y").replace("audit", "null-1");
    let topology = Topology::parse("x.yaml", &text).unwrap();
    let text = manifests_yaml(&topology, &options("lab"));
    let read: Vec<Value> = serde_yaml::from_multiple(&text).unwrap();
    assert_eq!(read, manifests(&topology, &options("lab")));
    assert!(text.contains("name: \"on\"\n") || text.contains("name: 'on'\n"), "{text}");
    assert!(!text.contains(": on\n") && !text.contains(": y\n"), "{text}");
}

#[test]
fn the_same_topology_in_two_namespaces_has_two_hosts() {
    let mut topology = everything();
    topology.services[1].entrypoint = true;
    let hosts = |namespace: &str| {
        entry_hosts(&topology, &options(namespace)).into_iter().map(|entry| entry.host).collect::<Vec<_>>()
    };
    assert_eq!(hosts("a"), ["a.example.com", "cart.a.example.com"]);
    assert_eq!(hosts("b"), ["b.example.com", "cart.b.example.com"]);
}

#[test]
fn a_topology_of_overlays_has_no_objects() {
    assert!(manifests(&Topology::load("original-demo").unwrap(), &options("lab")).is_empty());
}
