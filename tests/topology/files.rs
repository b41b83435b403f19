//! `meshy build --topology`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::home::Home;

fn names<'a>(objects: &'a [Value], kind: &str) -> BTreeSet<&'a str> {
    let of_kind = objects.iter().filter(|object| object["kind"] == kind);
    of_kind.filter_map(|object| object["metadata"]["name"].as_str()).collect()
}

#[test]
fn the_manifests_of_a_topology_contain_each_service_and_parse() {
    let home = Home::new();
    let line = "build --topology shop --namespace market --image registry.example/test:1";
    let objects: Vec<Value> = serde_yaml::from_multiple(&home.good(line)).expect("YAML");
    let expected = BTreeSet::from([
        "web",
        "catalog",
        "cart",
        "recommend",
        "checkout",
        "price",
        "stock",
        "user",
        "payment",
        "product-db",
    ]);
    for kind in ["Service", "Deployment", "ServiceAccount"] {
        assert_eq!(names(&objects, kind), expected, "{kind}");
    }
    assert_eq!(names(&objects, "Ingress"), BTreeSet::from(["web"]));
    assert_eq!(names(&objects, "Namespace"), BTreeSet::from(["market"]));
    for object in objects.iter().filter(|object| object["kind"] != "Namespace") {
        assert_eq!(object["metadata"]["namespace"], "market", "{object}");
    }
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a deployment");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "registry.example/test:1");
    let list: Vec<Value> = serde_json::from_str(&home.good(&format!("{line} -o json"))).expect("a list");
    assert_eq!(list, objects, "both forms have the same objects");
}

#[test]
fn the_original_demo_is_built_from_its_two_overlays() {
    let home = Home::new();
    let both = home.good("build --topology original-demo");
    let each = ["minimal-service", "bounced-service"].map(|name| home.good(&format!("build {name}")));
    assert_eq!(both, each.join("---\n"));
}

#[test]
fn a_file_of_isotope_is_built_with_a_warning_for_what_is_not_used() {
    let home = Home::new();
    let text =
        "services:\n- { name: a, isEntrypoint: true, script: [{ call: b }] }\n- { name: b, cluster: two }\n";
    fs::write(home.path().join("two.yaml"), text).expect("a file");
    let output = home.run("build --topology two.yaml -o json");
    assert!(output.status.success());
    let objects: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a list");
    assert_eq!(names(&objects, "Service"), BTreeSet::from(["a", "b"]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("warning") && stderr.contains("cluster"), "{stderr}");
}
