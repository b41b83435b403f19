//! A topology on an embedded lab: deployed, reached, measured, deleted.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::home::Home;

struct Lab(Home);

impl Lab {
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.0.good(&format!("{line} -o json"))).expect("JSON")
    }

    /// Edges as `FROM → TO`, each with its requests.
    fn edges(&self, line: &str) -> BTreeSet<(String, u64)> {
        let graph = self.json(line);
        let edges = graph["edges"].as_array().expect("edges").clone();
        let edge = |edge: &Value| {
            let (from, to) = (edge["from"].as_str().expect("a name"), edge["to"].as_str().expect("a name"));
            (format!("{from} → {to}"), edge["requests_count"].as_u64().expect("a count"))
        };
        edges.iter().map(edge).collect()
    }

    /// Sends a request through the ingress and returns the response.
    fn request(&self, host: &str) -> String {
        let up = self.json("up --provider embedded");
        let port = up["lab"]["http_port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the ingress");
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        response
    }
}

fn set(edges: &[(&str, u64)]) -> BTreeSet<(String, u64)> {
    edges.iter().map(|(edge, count)| ((*edge).to_owned(), *count)).collect()
}

#[test]
fn a_topology_is_deployed_reached_measured_and_deleted() {
    let home = Home::new();
    let nothing = home.good("up --provider embedded --topology chain-3");
    assert!(nothing.contains("Host: default.example.com"), "{nothing}");
    let lab = Lab(home);
    one_request_reaches_every_service_and_the_graph_counts_it(&lab);
    the_graph_shows_mutual_tls_and_latency_in_each_form(&lab);
    retries_are_attempts_of_one_request(&lab);
    a_plain_up_repeats_the_topology(&lab);
    a_topology_in_a_namespace_is_deployed_and_deleted_with_it(&lab);
    manifests_are_deployed_from_a_folder(&lab);
    a_namespace_without_proxies_is_a_missing_prerequisite(&lab);
}

fn one_request_reaches_every_service_and_the_graph_counts_it(lab: &Lab) {
    let response = lab.request("default.example.com");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let expected = set(&[("(not meshed) → front", 1), ("front → cart", 1), ("cart → price", 1)]);
    assert_eq!(lab.edges("graph --window 0s"), expected);
}

fn retries_are_attempts_of_one_request(lab: &Lab) {
    let to_price = || {
        let graph = lab.json("graph --window 0s");
        let edges = graph["edges"].as_array().expect("edges").clone();
        let edge = edges.into_iter().find(|edge| edge["to"] == "price").expect("an edge");
        let requests = edge["requests_count"].as_f64().expect("a count");
        let attempts = requests * edge["attempts_per_request"].as_f64().expect("a number");
        (requests, attempts.round(), edge)
    };
    lab.0.good("retry apply price --limit 2");
    lab.0.good("fault 500,500 price");
    let (requests, attempts, _) = to_price();
    let response = lab.request("default.example.com");
    assert!(response.starts_with("HTTP/1.1 500"), "the status of the failed call: {response}");
    let (requests_after, attempts_after, edge) = to_price();
    assert_eq!((requests_after - requests, attempts_after - attempts), (1.0, 3.0), "{edge}");
    assert!(edge["policy"].as_str().expect("a policy").contains("at most 2 retries"), "{edge}");
    assert!(edge["effective_success_ratio"].as_f64() > edge["actual_success_ratio"].as_f64(), "{edge}");
    lab.0.good("fault off price");
    lab.0.good("retry delete price");
}

fn the_graph_shows_mutual_tls_and_latency_in_each_form(lab: &Lab) {
    lab.0.good("inject");
    assert!(lab.request("default.example.com").starts_with("HTTP/1.1 200"));
    let edges = lab.edges("graph --window 0s");
    assert!(edges.contains(&("ingress-nginx/ingress-nginx-controller → front".to_owned(), 1)), "{edges:?}");
    let graph = lab.json("graph front --window 0s");
    let to_cart =
        graph["edges"].as_array().expect("edges").iter().find(|edge| edge["to"] == "cart").expect("an edge");
    assert_eq!(
        (&to_cart["mutual_tls"], &to_cart["attempts_per_request"]),
        (&Value::Bool(true), &Value::from(1.0))
    );
    assert_eq!(to_cart["effective_success_ratio"], 1.0);
    assert!(to_cart["p50_ms"].as_f64().is_some(), "{to_cart}");
    for (format, expected) in
        [("dot", "digraph"), ("mermaid", "flowchart"), ("svg", "<svg"), ("text", "SERVICE")]
    {
        let shown = lab.0.good(&format!("graph --window 0s -o {format}"));
        assert!(shown.starts_with(expected) && shown.contains("cart"), "{format}: {shown}");
    }
    let unknown = lab.0.run("graph crat --window 0s");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `cart`?"));
}

fn a_plain_up_repeats_the_topology(lab: &Lab) {
    let record = |up: &Value| (up["lab"]["topology"].clone(), up["services"][0]["name"].clone());
    assert_eq!(record(&lab.json("up --provider embedded")), (Value::from("chain-3"), Value::from("chain-3")));
    let text = "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: { name: own }\n\
                services:\n  - { name: solo, entrypoint: true }\n";
    fs::write(lab.0.path().join("own.yaml"), text).expect("a file");
    let path = lab.0.path().join("own.yaml").display().to_string();
    let own = lab.json("up --provider embedded --topology own.yaml");
    assert_eq!(own["lab"]["topology"], path, "a later run may start elsewhere");
    let overlay = lab.json("up --provider embedded --overlay minimal-service");
    assert_eq!(overlay["lab"]["topology"], Value::Null);
    assert_eq!(overlay["lab"]["overlays"], serde_json::json!(["minimal-service"]));
}

fn a_topology_in_a_namespace_is_deployed_and_deleted_with_it(lab: &Lab) {
    let deployed = lab.json("deploy --topology diamond --namespace gems");
    assert_eq!(deployed[0]["changed"], 14, "{deployed}");
    assert!(lab.request("gems.example.com").starts_with("HTTP/1.1 200"));
    assert!(lab.edges("graph -n gems --window 0s").contains(&("front → left".to_owned(), 1)));
    let deleted = lab.json("deploy --delete --topology diamond -n gems");
    let deleted = deleted.as_array().expect("a list");
    assert_eq!((deleted.len(), deleted.last()), (14, Some(&Value::from("namespace `gems`"))));
}

fn manifests_are_deployed_from_a_folder(lab: &Lab) {
    let folder = lab.0.path().join("manifests");
    fs::create_dir(&folder).expect("a folder");
    let object = |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}\n");
    fs::write(folder.join("a.yaml"), object("one")).expect("a file");
    fs::write(folder.join("b.yml"), object("two")).expect("a file");
    fs::write(folder.join("notes.txt"), "not a manifest").expect("a file");
    let deployed = lab.json("deploy -f manifests");
    assert_eq!(deployed[0]["objects"], serde_json::json!(["configmap `one`", "configmap `two`"]));
    let deleted = lab.json("deploy --delete -f manifests");
    assert_eq!(deleted.as_array().expect("a list").len(), 2, "{deleted}");
}

fn a_namespace_without_proxies_is_a_missing_prerequisite(lab: &Lab) {
    let output = lab.0.run("graph -n kube-system --window 0s");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("no running pod in namespace `kube-system` has a proxy"), "{stderr}");
    assert!(stderr.contains("meshy inject"), "{stderr}");
    assert_eq!(lab.0.run("graph -n nosuch --window 0s").status.code(), Some(2));
}
