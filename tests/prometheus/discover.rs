//! `export prometheus --discover`: the configuration is followed as a Prometheus with Kubernetes discovery follows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use regex::Regex;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::home::Home;
use crate::{TIMEOUT, lab};

/// The pods with a proxy after `inject`: the two services and ingress-nginx.
const MESHED: usize = 3;

/// The labels of a target while it is relabelled, and of its series in the end.
type Labels = BTreeMap<String, String>;

fn text<'a>(value: &'a Value, default: &'a str) -> &'a str {
    value.as_str().unwrap_or(default)
}

/// What Prometheus knows of the ports of a pod's containers, init containers among them: one target for each port.
fn found(pod: &Value) -> Vec<Labels> {
    let metadata = &pod["metadata"];
    let mut targets = Vec::new();
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            for port in container["ports"].as_array().into_iter().flatten() {
                let address = format!("{}:{}", text(&pod["status"]["podIP"], ""), port["containerPort"]);
                let pairs = [
                    ("__address__", address.as_str()),
                    ("__metrics_path__", "/metrics"),
                    ("__meta_kubernetes_namespace", text(&metadata["namespace"], "")),
                    ("__meta_kubernetes_pod_name", text(&metadata["name"], "")),
                    ("__meta_kubernetes_pod_container_name", text(&container["name"], "")),
                    ("__meta_kubernetes_pod_container_port_name", text(&port["name"], "")),
                ];
                targets.push(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
            }
        }
    }
    targets
}

/// Applies the rules of a job as Prometheus does; none for a target that a rule drops.
fn relabelled(mut labels: Labels, rules: &Value) -> Option<Labels> {
    for rule in rules.as_array().expect("rules") {
        let sources = rule["source_labels"].as_array().into_iter().flatten();
        let values = sources.map(|name| labels.get(text(name, "")).map_or("", String::as_str));
        let value = values.collect::<Vec<_>>().join(text(&rule["separator"], ";"));
        let pattern = Regex::new(&format!("^(?s:{})$", text(&rule["regex"], "(.*)"))).expect("a pattern");
        let matches = pattern.captures(&value);
        match (text(&rule["action"], "replace"), matches) {
            ("keep", None) => return None,
            ("replace", Some(matches)) => {
                let mut new = String::new();
                matches.expand(text(&rule["replacement"], "$1"), &mut new);
                labels.insert(text(&rule["target_label"], "").to_owned(), new);
            }
            ("keep", Some(_)) | ("replace", None) => {}
            (action, _) => panic!("unknown action {action}"),
        }
    }
    Some(labels)
}

/// A client with the address, the authority and the token of the written configuration, and nothing else.
fn client(folder: &Path, address: &str) -> kube::Client {
    let mut config = kube::Config::new(address.parse().expect("a URL"));
    let authority = fs::read(folder.join("ca.crt")).expect("an authority");
    let certificates = CertificateDer::pem_slice_iter(&authority);
    config.root_cert = Some(certificates.map(|one| one.expect("PEM").to_vec()).collect());
    config.auth_info.token = Some(fs::read_to_string(folder.join("token")).expect("a token").into());
    kube::Client::try_from(config).expect("a client")
}

async fn get(client: &kube::Client, path: &str) -> String {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    client.request_text(request).await.expect("a response")
}

/// Follows the written configuration once: returns a client for its server, and the targets of the moment.
async fn discovered(folder: &Path) -> (kube::Client, Vec<Labels>) {
    let configuration = fs::read_to_string(folder.join("prometheus.yml")).expect("a configuration");
    let configuration: Value = serde_yaml::from_str(&configuration).expect("YAML");
    let job = &configuration["scrape_configs"][0];
    let discovery = &job["kubernetes_sd_configs"][0];
    assert_eq!((&discovery["role"], &job["scheme"]), (&"pod".into(), &"https".into()));
    let server = text(&discovery["api_server"], "").to_owned();
    let client = client(folder, &server);
    let pods: Value = serde_json::from_str(&get(&client, "/api/v1/pods").await).expect("JSON");
    let all = pods["items"].as_array().expect("pods").iter().flat_map(found);
    let targets: Vec<Labels> = all.filter_map(|labels| relabelled(labels, &job["relabel_configs"])).collect();
    assert!(targets.iter().all(|target| format!("https://{}", target["__address__"]) == server));
    (client, targets)
}

/// Namespace and pod of each target of the configuration that lists the pods of now.
fn listed(home: &Home) -> BTreeSet<(String, String)> {
    let printed: Value = serde_yaml::from_str(&home.good("export prometheus")).expect("YAML");
    let targets = printed["scrape_configs"][0]["static_configs"].as_array().expect("targets").iter();
    let labels = targets.map(|target| &target["labels"]);
    labels.map(|one| (text(&one["namespace"], "").to_owned(), text(&one["pod"], "").to_owned())).collect()
}

/// Waits until the discovered targets are the listed ones, each once, and `count` in number, and returns them: a pod that was
/// replaced needs a moment to end, and until then both list it.
async fn agreed(home: &Home, folder: &Path, count: usize) -> BTreeSet<(String, String)> {
    let begun = Instant::now();
    loop {
        let (_, targets) = discovered(folder).await;
        let names: BTreeSet<_> =
            targets.iter().map(|one| (one["namespace"].clone(), one["pod"].clone())).collect();
        let listed = listed(home);
        if names == listed && targets.len() == count && names.len() == count {
            return names;
        }
        assert!(begun.elapsed() < TIMEOUT, "discovered {names:?}, listed {listed:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_discovered_targets_are_the_meshed_pods_of_the_moment() {
    let home = lab();
    home.good("export prometheus config --discover");
    let folder = home.path().join("config");
    let first = agreed(&home, &folder, MESHED).await;
    // Pods that are replaced later are found without another export.
    home.good("inject --remove deploy/minimal-service");
    let without = agreed(&home, &folder, MESHED - 1).await;
    assert!(without.is_subset(&first), "{without:?}");
    home.good("inject deploy/minimal-service");
    let again = agreed(&home, &folder, MESHED).await;
    assert_ne!(again, first);
    home.good("traffic 1s --rate 10");
    let (client, targets) = discovered(&folder).await;
    let mut counted = String::new();
    for target in &targets {
        counted += &get(&client, &target["__metrics_path__"]).await;
    }
    assert!(
        counted.contains("outbound_http_route_request_statuses_total") && counted.contains("response_total")
    );
}
