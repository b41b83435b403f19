//! The rendered manifests have what each program needs.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::*;
use crate::addons::{self, Options};

fn rendered() -> Vec<Object> {
    addons::rendered(&options_of_a_lab()).expect("the manifests are whole")
}

/// Everything that changes from build to build is fixed.
fn options_of_a_lab() -> Options {
    let linkerd = Settings { created_by: "meshy/0.0.0".to_owned(), ..Settings::default() };
    Options { linkerd, ..Options::default() }
}

fn find(objects: &[Object], kind: &str, name: &str) -> Value {
    let found = objects.iter().find(|o| manifest::kind(o) == kind && o.name_any() == name);
    json!(found.unwrap_or_else(|| panic!("there is no {kind} {name}")))
}

/// All containers of a pod template, init containers first.
fn containers(object: &Value) -> Vec<Value> {
    let pod = &object["spec"]["template"]["spec"];
    let list = |key: &str| pod[key].as_array().cloned().unwrap_or_default();
    list("initContainers").into_iter().chain(list("containers")).collect()
}

/// What each program must be started with: the arguments without which it serves other ports, trusts other names or manages
/// other objects than the rest of the manifests expects.
const ARGUMENTS: [(&str, &str, &[&str]); 6] = [
    (
        "ingress-nginx-controller",
        "controller",
        &[
            "--controller-class=k8s.io/ingress-nginx",
            "--ingress-class=nginx",
            "--configmap=$(POD_NAMESPACE)/ingress-nginx-controller",
            "--validating-webhook=:8443",
            "--validating-webhook-certificate=/usr/local/certificates/tls.crt",
            "--validating-webhook-key=/usr/local/certificates/tls.key",
        ],
    ),
    (
        "linkerd-identity",
        "identity",
        &[
            "identity",
            "-controller-namespace=linkerd",
            "-identity-trust-domain=cluster.local",
            "-identity-issuance-lifetime=24h0m0s",
            "-identity-scheme=linkerd.io/tls",
        ],
    ),
    (
        "linkerd-destination",
        "destination",
        &[
            "destination",
            "-addr=:8086",
            "-controller-namespace=linkerd",
            "-enable-endpoint-slices=true",
            "-cluster-domain=cluster.local",
            "-identity-trust-domain=cluster.local",
        ],
    ),
    ("linkerd-destination", "sp-validator", &["sp-validator"]),
    (
        "linkerd-destination",
        "policy",
        &[
            "--control-plane-namespace=linkerd",
            "--grpc-addr=0.0.0.0:8090",
            "--server-addr=0.0.0.0:9443",
            "--server-tls-key=/var/run/linkerd/tls/tls.key",
            "--server-tls-certs=/var/run/linkerd/tls/tls.crt",
            "--identity-domain=cluster.local",
            "--cluster-domain=cluster.local",
            "--default-policy=all-unauthenticated",
        ],
    ),
    ("linkerd-proxy-injector", "proxy-injector", &["proxy-injector", "-linkerd-namespace=linkerd"]),
];

#[test]
fn each_program_gets_its_arguments_and_ports_that_are_free_in_its_pod() {
    let objects = rendered();
    for (deployment, name, arguments) in ARGUMENTS {
        let containers = containers(&find(&objects, "Deployment", deployment));
        let container = containers.iter().find(|container| container["name"] == name).unwrap();
        let given: Vec<&str> =
            container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for argument in arguments {
            assert!(given.contains(argument), "{deployment}/{name} lacks {argument}: {given:?}");
        }
    }
    for object in objects.iter().filter(|object| manifest::kind(object) == "Deployment") {
        let mut ports = BTreeSet::new();
        for container in containers(&json!(object)) {
            for port in container["ports"].as_array().into_iter().flatten() {
                let number = port["containerPort"].as_u64().unwrap();
                assert!(ports.insert(number), "port {number} twice in {}", object.name_any());
            }
        }
        assert!(!ports.is_empty(), "{}", object.name_any());
    }
}

#[test]
fn the_packets_of_each_pod_pass_its_proxy_except_those_of_the_proxy_and_of_the_api_server() {
    let objects = rendered();
    for deployment in ["linkerd-identity", "linkerd-destination", "linkerd-proxy-injector"] {
        let containers = containers(&find(&objects, "Deployment", deployment));
        let init = containers.iter().find(|container| container["name"] == "linkerd-init").unwrap();
        let given: Vec<&str> = init["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let of = |flag: &str| given.iter().position(|word| *word == flag).map(|at| given[at + 1]);
        assert_eq!(of("--incoming-proxy-port"), Some("4143"), "{deployment}");
        assert_eq!(of("--outgoing-proxy-port"), Some("4140"), "{deployment}");
        assert_eq!(of("--proxy-uid"), Some("2102"), "{deployment}");
        assert_eq!(of("--inbound-ports-to-ignore"), Some("4190,4191,4567,4568"), "{deployment}");
        assert_eq!(of("--outbound-ports-to-ignore"), Some("443,6443"), "{deployment}");
    }
}

#[test]
fn a_registry_of_ones_own_takes_every_image() {
    let options = Options { image_registry: Some("localhost:5000".to_owned()), ..options_of_a_lab() };
    let text = manifest::to_yaml(&addons::rendered(&options).unwrap()).unwrap();
    assert!(!text.contains("cr.l5d.io") && !text.contains("registry.k8s.io"));
    assert!(text.contains("image: localhost:5000/linkerd/proxy:edge-26.6.3"));
}

#[test]
fn nothing_is_left_to_fill_in_and_no_two_objects_are_the_same() {
    let mut seen = BTreeSet::new();
    for object in rendered() {
        let text = json!(object).to_string();
        assert!(!text.contains("${"), "{text}");
        let id = (manifest::kind(&object).to_owned(), object.namespace(), object.name_any());
        assert!(seen.insert(id.clone()), "twice: {id:?}");
    }
}

#[test]
fn every_port_that_a_service_names_is_a_port_of_its_pods() {
    let objects = rendered();
    let deployments: Vec<Value> =
        objects.iter().filter(|o| manifest::kind(o) == "Deployment").map(|o| json!(o)).collect();
    for service in objects.iter().filter(|o| manifest::kind(o) == "Service") {
        let service = json!(service);
        let labels = service["spec"]["selector"].as_object().unwrap();
        let selected = |d: &&Value| {
            let have = &d["spec"]["template"]["metadata"]["labels"];
            labels.iter().all(|(key, value)| have[key] == *value)
        };
        let deployment =
            deployments.iter().find(selected).unwrap_or_else(|| panic!("no process serves {service}"));
        let ports: Vec<Value> = containers(deployment)
            .iter()
            .flat_map(|c| c["ports"].as_array().cloned().unwrap_or_default())
            .collect();
        for port in service["spec"]["ports"].as_array().unwrap() {
            let target = &port["targetPort"];
            assert!(ports.iter().any(|p| p["name"] == *target || p["containerPort"] == *target), "{service}");
        }
    }
}

#[test]
fn every_webhook_leads_to_a_service_with_that_port() {
    let objects = rendered();
    for hook in objects.iter().filter(|o| manifest::kind(o).ends_with("WebhookConfiguration")) {
        let service = json!(hook)["webhooks"][0]["clientConfig"]["service"].clone();
        let port = service["port"].as_u64().unwrap_or(443);
        let found = find(&objects, "Service", service["name"].as_str().unwrap());
        assert!(found["spec"]["ports"].as_array().unwrap().iter().any(|p| p["port"] == port), "{service}");
    }
}

#[test]
fn every_mount_has_its_volume_and_every_volume_its_source() {
    let objects = rendered();
    for deployment in objects.iter().filter(|o| manifest::kind(o) == "Deployment").map(|o| json!(o)) {
        let volumes =
            deployment["spec"]["template"]["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        for container in containers(&deployment) {
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                assert!(volumes.iter().any(|v| v["name"] == mount["name"]), "{}: {mount}", container["name"]);
            }
        }
        for volume in volumes {
            if let Some(secret) = volume["secret"]["secretName"].as_str() {
                find(&objects, "Secret", secret);
            }
            if let Some(map) = volume["configMap"]["name"].as_str() {
                find(&objects, "ConfigMap", map);
            }
        }
    }
}

/// What the programs call, from their sources; a verb less and they fail at run time, where no test of ours would see it.
#[test]
fn every_program_may_do_what_it_does() {
    const READ: &[&str] = &["get", "list", "watch"];
    let needs: &[(&str, &str, &str, &[&str])] = &[
        ("linkerd-linkerd-identity", "authentication.k8s.io", "tokenreviews", &["create"]),
        ("linkerd-linkerd-destination", "", "pods", READ),
        ("linkerd-linkerd-destination", "", "endpoints", READ),
        ("linkerd-linkerd-destination", "", "services", READ),
        ("linkerd-linkerd-destination", "", "nodes", READ),
        ("linkerd-linkerd-destination", "apps", "replicasets", READ),
        ("linkerd-linkerd-destination", "batch", "jobs", READ),
        ("linkerd-linkerd-destination", "linkerd.io", "serviceprofiles", READ),
        ("linkerd-linkerd-destination", "workload.linkerd.io", "externalworkloads", READ),
        (
            "linkerd-linkerd-destination",
            "discovery.k8s.io",
            "endpointslices",
            &["create", "update", "delete"],
        ),
        (
            "linkerd-linkerd-destination",
            "coordination.k8s.io",
            "leases",
            &["create", "get", "update", "patch"],
        ),
        ("linkerd-policy", "policy.linkerd.io", "servers", READ),
        ("linkerd-policy", "policy.linkerd.io", "egressnetworks", READ),
        ("linkerd-policy", "policy.linkerd.io", "httproutes/status", &["patch"]),
        ("linkerd-policy", "gateway.networking.k8s.io", "httproutes", READ),
        ("linkerd-policy", "gateway.networking.k8s.io", "httproutes/status", &["patch"]),
        ("linkerd-policy", "gateway.networking.k8s.io", "grpcroutes/status", &["patch"]),
        ("linkerd-policy", "coordination.k8s.io", "leases", &["create", "get", "patch"]),
        ("linkerd-linkerd-proxy-injector", "", "events", &["create", "patch"]),
        ("linkerd-linkerd-proxy-injector", "", "namespaces", READ),
        ("linkerd-linkerd-proxy-injector", "", "pods", &["list", "watch"]),
        ("linkerd-linkerd-proxy-injector", "apps", "deployments", READ),
        ("linkerd-linkerd-proxy-injector", "batch", "cronjobs", READ),
        ("ingress-nginx", "networking.k8s.io", "ingresses", READ),
        ("ingress-nginx", "networking.k8s.io", "ingresses/status", &["update"]),
        ("ingress-nginx", "discovery.k8s.io", "endpointslices", READ),
        ("ingress-nginx", "", "secrets", &["list", "watch"]),
    ];
    let objects = rendered();
    for (role, group, resource, verbs) in needs {
        let rules = find(&objects, "ClusterRole", role)["rules"].as_array().cloned().unwrap_or_default();
        let has = |rule: &Value, key: &str, what: &str| {
            rule[key].as_array().is_some_and(|a| a.contains(&json!(what)))
        };
        for verb in *verbs {
            let allowed = rules.iter().any(|r| {
                has(r, "apiGroups", group) && has(r, "resources", resource) && has(r, "verbs", verb)
            });
            assert!(allowed, "{role} may not {verb} {resource}");
        }
    }
}

#[test]
fn each_component_has_its_proxy_and_only_identity_starts_before_its_own() {
    let objects = rendered();
    for name in ["linkerd-identity", "linkerd-destination", "linkerd-proxy-injector"] {
        let deployment = find(&objects, "Deployment", name);
        let all = containers(&deployment);
        let at = |name: &str| all.iter().position(|c| c["name"] == name).unwrap();
        let sidecar = all[at("linkerd-proxy")]["restartPolicy"] == "Always";
        assert_eq!(sidecar, name != "linkerd-identity", "{name}");
        assert!(at("linkerd-init") < at("linkerd-proxy"));
        let env = |key: &str| {
            let env = all[at("linkerd-proxy")]["env"].as_array().unwrap().clone();
            env.iter().find(|e| e["name"] == key).map(|e| e["value"].as_str().unwrap_or_default().to_owned())
        };
        let own = |service: &str| name == service;
        let address = env("LINKERD2_PROXY_IDENTITY_SVC_ADDR").unwrap();
        assert_eq!(address == "localhost.:8080", own("linkerd-identity"), "{address}");
        let address = env("LINKERD2_PROXY_POLICY_SVC_ADDR").unwrap();
        assert_eq!(address == "localhost.:8090", own("linkerd-destination"), "{address}");
        assert_eq!(env("LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS").is_some(), own("linkerd-identity"));
    }
    let injector = find(&objects, "Deployment", "linkerd-proxy-injector");
    let proxy = containers(&injector).into_iter().find(|c| c["name"] == "linkerd-proxy").unwrap();
    let ports = proxy["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["name"] == "LINKERD2_PROXY_INBOUND_PORTS")
        .cloned();
    assert_eq!(ports.unwrap()["value"], "8443,9995");
}

#[test]
fn keys_are_in_secrets_only_and_absent_where_none_was_given() {
    let given = addons::certificates::Identity::make("cluster.local").unwrap();
    let key = given.issuer_key.clone();
    let options = Options { identity: Some(given), ..options_of_a_lab() };
    for object in addons::rendered(&options).unwrap() {
        let text = json!(object).to_string();
        assert!(!text.contains("PRIVATE KEY"), "{} has a key in clear", manifest::describe(&object));
        let encoded = text.contains(&base64(&key));
        assert_eq!(encoded, object.name_any() == "linkerd-identity-issuer");
    }
    let none = base64("-----BEGIN PRIVATE");
    assert!(rendered().iter().all(|o| !json!(o).to_string().contains(&none[..20])));
}

#[test]
fn the_settings_are_yaml_that_the_injector_can_read() {
    let config = find(&rendered(), "ConfigMap", "linkerd-config");
    let settings: Value = serde_yaml::from_str(config["data"]["values"].as_str().unwrap()).unwrap();
    assert_eq!(settings["linkerdVersion"], images::LINKERD_VERSION);
    assert_eq!(settings["proxy"]["image"]["name"], "cr.l5d.io/linkerd/proxy");
    assert_eq!(settings["proxy"]["ports"]["admin"], 4191);
    assert_eq!(settings["disableHeartBeat"], true);
    assert_eq!(settings["proxy"]["logLevel"], PROXY_LOG);
    assert_eq!(settings["proxy"]["logHTTPHeaders"], "off", "a word, not a YAML 1.1 boolean");
}

#[test]
fn a_chosen_log_level_is_that_of_injected_proxies_and_of_the_control_planes() {
    let mut options = options_of_a_lab();
    options.linkerd.proxy_log = "warn,linkerd=debug".to_owned();
    let objects = addons::rendered(&options).unwrap();
    let config = find(&objects, "ConfigMap", "linkerd-config");
    let settings: Value = serde_yaml::from_str(config["data"]["values"].as_str().unwrap()).unwrap();
    assert_eq!(settings["proxy"]["logLevel"], "warn,linkerd=debug");
    let destination = find(&objects, "Deployment", "linkerd-destination");
    let proxy = containers(&destination).into_iter().find(|c| c["name"] == "linkerd-proxy").unwrap();
    let level = proxy["env"].as_array().unwrap().iter().find(|env| env["name"] == "LINKERD2_PROXY_LOG");
    assert_eq!(level.unwrap()["value"], "warn,linkerd=debug,[{headers}]=off,[{request}]=off");
}
