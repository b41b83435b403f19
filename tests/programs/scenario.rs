//! A scenario on the three programs as they are deployed: no topology.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::home::Home;
use crate::shop::Shop;

/// What a run may change: policies, Services, and the pods with their restarts.
const PATHS: [&str; 5] = [
    "/api/v1/namespaces",
    "/api/v1/namespaces/shop/services",
    "/api/v1/namespaces/shop/pods",
    "/apis/linkerd.io/v1alpha2/namespaces/shop/serviceprofiles",
    "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes",
];

/// Removes what the API server counts, and the times of managers.
fn stable(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        if let Some(managers) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
            managers
                .iter_mut()
                .for_each(|entry| drop(entry.as_object_mut().map(|entry| entry.remove("time"))));
            managers.sort_by_key(Value::to_string);
        }
    }
    object
}

/// The objects of these paths.
fn state(home: &Home) -> Vec<Value> {
    let kubeconfig = Kubeconfig::read_from(home.kubeconfig()).expect("the kubeconfig");
    let options = KubeConfigOptions {
        context: Some(kubeconfig.contexts[0].name.clone()),
        ..KubeConfigOptions::default()
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a context");
        let client = kube::Client::try_from(config).expect("a client");
        let mut objects = Vec::new();
        for path in PATHS {
            let request = http::Request::get(path).body(Vec::new()).expect("a request");
            let text = client.request_text(request).await.expect("a list");
            let list: Value = serde_json::from_str(&text).expect("JSON");
            objects.extend(list["items"].as_array().expect("items").iter().cloned().map(stable));
        }
        objects
    })
}

#[test]
#[ignore = "needs python, node and go"]
fn a_scenario_over_three_programs_restores_everything() {
    let shop = Shop::up();
    let before = state(&shop.lab.0);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/shop/scenario/retries.yaml");
    let output = shop.lab.0.run(&format!("run {} -n shop -o json", file.display()));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(run["verdict"]["holds"], true, "{run:#}");
    assert_eq!(state(&shop.lab.0), before);
}
