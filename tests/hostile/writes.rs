//! Writes to an embedded lab's API that cost much: time, memory, and responses that clients cannot read.

use std::fs;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::home::Home;
use crate::https::Lab;
use crate::program::memory_of;
use crate::tally::{Tally, random};

const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PROFILES: &str = "/apis/linkerd.io/v1alpha2/namespaces/default/serviceprofiles";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// CPU time of the lab for one request, in seconds, in a build without optimization.
const MOST_CPU: f64 = 10.0;

/// What a request may add to the lab's memory while it runs, in bytes. A body has up to 3 MiB: some 100,000 values, of which a
/// write holds several copies (what was sent, the object with its defaults, who manages which field). The lab returns free memory
/// between requests, so a request also counts what an earlier one needed and gave back: up to 263 MB were measured.
const MOST_MEMORY: u64 = 320_000_000;

/// HTTP clients read a hundred header lines at most.
const MOST_HEADERS: usize = 100;

/// A request, and whether it must be refused; `None` where nothing is expected.
struct Write {
    name: String,
    method: &'static str,
    path: String,
    kind: &'static str,
    body: String,
    refused: Option<bool>,
}

fn post(name: impl Into<String>, path: &str, body: &Value, refused: impl Into<Option<bool>>) -> Write {
    let (name, path, body, refused) = (name.into(), path.to_owned(), body.to_string(), refused.into());
    Write { name, method: "POST", path, kind: JSON, body, refused }
}

fn object(kind: &str, metadata: Value, more: &Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
    object["metadata"]["name"] = json!(format!("x{}", rand::random::<u32>()));
    for (name, value) in more.as_object().expect("an object") {
        object[name.as_str()] = value.clone();
    }
    object
}

fn pod(containers: Value, more: &Value) -> Value {
    let mut spec = more.clone();
    spec["containers"] = containers;
    object("Pod", json!({}), &json!({"spec": spec}))
}

/// So many different texts.
fn texts(count: usize, make: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(make).collect()
}

fn fields(names: Vec<String>, value: &str) -> Value {
    names.into_iter().map(|name| (name, json!(value))).collect::<serde_json::Map<_, _>>().into()
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn large(random: &mut StdRng) -> Vec<Write> {
    let mut some = |most: usize| random.random_range(most / 2..most);
    let container = |name: &str| json!({"name": name, "image": "busybox"});
    let mut writes = vec![
        post(
            "bad labels",
            MAPS,
            &object(
                "ConfigMap",
                json!({"labels": fields(texts(some(120_000), |n| format!("!{n}")), "!")}),
                &json!({}),
            ),
            true,
        ),
        post(
            "bad annotations",
            MAPS,
            &object(
                "ConfigMap",
                json!({"annotations": fields(texts(some(120_000), |n| format!("!{n}")), "x")}),
                &json!({}),
            ),
            true,
        ),
        post(
            "finalizers",
            MAPS,
            &object(
                "ConfigMap",
                json!({"finalizers": texts(some(50_000), |n| format!("example.org/{n}"))}),
                &json!({}),
            ),
            false,
        ),
        post(
            "bad finalizers",
            MAPS,
            &object(
                "ConfigMap",
                json!({"finalizers": texts(some(100_000), |n| format!("!{n}"))}),
                &json!({}),
            ),
            None::<bool>,
        ),
        post(
            "owners",
            MAPS,
            &object(
                "ConfigMap",
                json!({"ownerReferences": vec![json!({"kind": "a"}); some(100_000)]}),
                &json!({}),
            ),
            None::<bool>,
        ),
        post(
            "bad keys of data",
            MAPS,
            &object(
                "ConfigMap",
                json!({}),
                &json!({"data": fields(texts(some(100_000), |n| format!("/{n}")), "")}),
            ),
            true,
        ),
        post(
            "containers of one name",
            "/api/v1/namespaces/default/pods",
            &pod(vec![container("a"); some(20_000)].into(), &json!({})),
            true,
        ),
        post(
            "containers without an image",
            "/api/v1/namespaces/default/pods",
            &pod(vec![json!({"name": "!"}); some(50_000)].into(), &json!({})),
            true,
        ),
        post(
            "variables without a name",
            "/api/v1/namespaces/default/pods",
            &pod(json!([{"name": "a", "image": "b", "env": vec![json!({}); some(200_000)]}]), &json!({})),
            true,
        ),
        post(
            "ports that are none",
            "/api/v1/namespaces/default/pods",
            &pod(
                json!([{"name": "a", "image": "b", "ports": vec![json!({"containerPort": 99_999_999}); some(60_000)]}]),
                &json!({}),
            ),
            true,
        ),
        post(
            "tolerations that are none",
            "/api/v1/namespaces/default/pods",
            &pod(
                json!([container("a")]),
                &json!({"tolerations": vec![json!({"operator": "x", "effect": "y"}); some(50_000)]}),
            ),
            None::<bool>,
        ),
        post(
            "ports of a Service",
            "/api/v1/namespaces/default/services",
            &object(
                "Service",
                json!({}),
                &json!({"spec": {"ports": vec![json!({"port": 0, "protocol": "x"}); some(60_000)]}}),
            ),
            true,
        ),
        post(
            "unknown fields",
            &format!("{MAPS}?fieldValidation=Strict"),
            &object("ConfigMap", json!({}), &fields(texts(some(100_000), |n| format!("f{n}")), "x")),
            true,
        ),
        post(
            "unknown fields with warnings",
            &format!("{MAPS}?fieldValidation=Warn"),
            &object("ConfigMap", json!({}), &fields(texts(some(100_000), |n| format!("f{n}")), "x")),
            false,
        ),
        post("a list nested deep", MAPS, &json!({"a": 1}), true),
    ];
    let same = "\"a\":\"b\",".repeat(some(100_000));
    for (validation, refused) in [("Warn", Some(false)), ("Strict", Some(true))] {
        let body = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"same-{}\"}},\"data\":{{{same}\"a\":\"c\"}}}}",
            validation.to_lowercase()
        );
        writes.push(Write {
            name: format!("one key again and again, {validation}"),
            method: "POST",
            path: format!("{MAPS}?fieldValidation={validation}"),
            kind: JSON,
            body,
            refused,
        });
    }
    for (name, start) in [("JSON", "["), ("JSON objects", "{\"a\":")] {
        writes.push(Write {
            name: format!("{name} nested deep"),
            method: "POST",
            path: MAPS.to_owned(),
            kind: JSON,
            body: start.repeat(500_000),
            refused: Some(true),
        });
    }
    for number in 0..2 {
        let body = object(
            "ConfigMap",
            json!({}),
            &json!({"data": fields(texts(some(170_000), |n| format!("k{n}")), "v")}),
        );
        let mut body = body;
        body["metadata"]["name"] = json!(format!("applied-{number}"));
        writes.push(Write {
            name: "an apply of many keys".to_owned(),
            method: "PATCH",
            path: format!("{MAPS}/applied-{number}?fieldManager=m"),
            kind: APPLY,
            body: body.to_string(),
            refused: Some(false),
        });
    }
    writes
}

/// Definitions with names that are taken or that need an approval.
fn definitions() -> Vec<Write> {
    let names = [
        ("deployments", "apps", "Deployment"),
        ("replicasets", "apps", "ReplicaSet"),
        ("customresourcedefinitions", "apiextensions.k8s.io", "CustomResourceDefinition"),
        ("ingresses", "networking.k8s.io", "Ingress"),
        ("leases", "coordination.k8s.io", "Lease"),
        ("endpointslices", "discovery.k8s.io", "EndpointSlice"),
        ("events", "events.k8s.io", "Event"),
        ("widgets", "apps", "Widget"),
        ("widgets", "batch", "Widget"),
        ("widgets", "k8s.io", "Widget"),
        ("widgets", "example.k8s.io", "Widget"),
        ("widgets", "example.kubernetes.io", "Widget"),
        ("widgets", "nodot", "Widget"),
    ];
    let make = |(plural, group, kind): (&str, &str, &str)| {
        let version = json!({"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
        let body = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind}, "versions": [version]}});
        post(format!("definition {plural}.{group}"), DEFINITIONS, &body, true)
    };
    names.into_iter().map(make).collect()
}

/// Profiles with expressions that are large when compiled.
fn profiles() -> Vec<Write> {
    let make = |(number, (routes, expression)): (usize, (usize, &str))| {
        let route = |n| json!({"name": format!("r{n}"), "condition": {"method": "GET", "pathRegex": format!("{expression}{n}")}});
        let routes: Vec<Value> = (0..routes).map(route).collect();
        let body = json!({"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": {"name": format!("{}.default.svc.cluster.local", ["minimal-service", "bounced-service"][number % 2])},
            "spec": {"routes": routes}});
        post(format!("profile with {expression}"), PROFILES, &body, false)
    };
    [(50, "(a{500}){500}"), (50, "(\\w{100}){50}"), (200, "(b{1000}){100}"), (50, "(\\pL{40}){40}")]
        .into_iter()
        .enumerate()
        .map(make)
        .collect()
}

/// CPU time of a process in seconds.
fn cpu(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("its state");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u32>().map_or(0.0, f64::from);
    // A hundred ticks a second on every Linux.
    (ticks(11) + ticks(12)) / 100.0
}

fn resident(process: u32) -> u64 {
    // From here on the peak counts from zero.
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the peak can be reset");
    memory_of(process).expect("its memory")
}

fn faults(lab: &Lab, write: &Write) -> Vec<String> {
    let (cpu_before, before) = (cpu(lab.process), resident(lab.process));
    let response = lab.request(write.method, &write.path, write.kind, &write.body);
    if write.path == PROFILES {
        // The proxies follow.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let used = cpu(lab.process) - cpu_before;
    if let (PROFILES, Ok(created)) = (write.path.as_str(), &response) {
        // The next one is for the same service.
        let created: Value = serde_json::from_str(&created.body).unwrap_or_default();
        let name = created["metadata"]["name"].as_str().unwrap_or_default();
        let _ = lab.request("DELETE", &format!("{PROFILES}/{name}"), JSON, "");
    }
    let grown = memory_of(lab.process).unwrap_or(0).saturating_sub(before);
    let mut faults = Vec::new();
    match response {
        Err(error) => faults.push(format!("no response: {error}")),
        Ok(response) => {
            let is_refused = (400..500).contains(&response.status);
            if write.refused.is_some_and(|refused| refused != is_refused) || response.status >= 500 {
                let body: String = response.body.chars().take(100).collect();
                faults.push(format!("status {}: {body}", response.status));
            }
            if response.headers > MOST_HEADERS {
                faults.push(format!("{} header lines", response.headers));
            }
        }
    }
    if used > MOST_CPU {
        faults.push(format!("took {used:.1} s of CPU time"));
    }
    if grown > MOST_MEMORY {
        faults.push(format!("took {} MB", grown / 1_000_000));
    }
    faults
}

#[test]
fn expensive_writes() {
    let (tally, mut random) = (Tally::new("expensive writes", 36), random("writes"));
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    let lab = Lab::of(&home);
    for write in large(&mut random) {
        tally.add("S-D13", &write.name, faults(&lab, &write));
    }
    for write in definitions() {
        tally.add("S-D9", &write.name, faults(&lab, &write));
    }
    for write in profiles() {
        tally.add("S-D13", &write.name, faults(&lab, &write));
    }
    let status = home.run("status");
    let faults = if status.status.success() {
        Vec::new()
    } else {
        vec![String::from_utf8_lossy(&status.stderr).into_owned()]
    };
    tally.add("S-D9", "the lab afterwards", faults);
    tally.end();
}
