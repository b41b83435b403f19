//! `meshy run` as a user runs it, with the real program: shipped scenarios in their short form, a scenario from a file, and
//! input that is not valid.
#![cfg(target_os = "linux")]

#[path = "scenarios/grpc.rs"]
mod grpc;
#[path = "support/home.rs"]
mod home;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use home::Home;
use meshy_experiment::scenario::shipped;
use serde_json::Value;

/// The events of the only run in a home.
fn events(home: &Home) -> Vec<Value> {
    let folder = home.path().join(".local/state/meshy/runs");
    let files = fs::read_dir(folder).expect("the folder of runs").flatten().map(|entry| entry.path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "jsonl")).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let text = fs::read_to_string(file).expect("the events");
    text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == name).collect()
}

#[test]
fn the_shipped_scenarios_are_listed() {
    let home = Home::new();
    let rows: Value = serde_json::from_str(&home.good("run --list -o json")).expect("one document");
    let names: Vec<&str> =
        rows.as_array().expect("rows").iter().filter_map(|row| row["name"].as_str()).collect();
    for name in ["retries", "storm", "lesson/retry-budget"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

/// Shipped scenarios that another test runs and why, with the command that stands in it.
const RUN_ELSEWHERE: [(&str, &str, &str); 2] = [
    // Each step has texts in a certain order.
    ("lesson/", include_str!("lessons.rs"), "run lesson/{name} --fast"),
    // Only its classes are compared, and it runs alone.
    ("storm", include_str!("storm.rs"), "run storm --fast"),
];

/// A new file in `scenarios/` is run here without a change of this test.
#[test]
fn every_shipped_scenario_is_run_by_a_test_and_meets_its_expectations() {
    let shipped = shipped::shipped();
    let paths: BTreeSet<_> = shipped.iter().map(|one| Path::new(one.path).to_owned()).collect();
    assert_eq!(paths, files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))));
    for (name, test, command) in RUN_ELSEWHERE {
        assert!(test.contains(command), "no test runs `{name}`");
    }
    let elsewhere = |name: &str| {
        RUN_ELSEWHERE
            .iter()
            .any(|(prefix, ..)| name == *prefix || prefix.ends_with('/') && name.starts_with(prefix))
    };
    let names: Vec<&str> =
        shipped.iter().map(|one| one.name.as_str()).filter(|name| !elsewhere(name)).collect();
    assert!(names.contains(&"retries"), "{names:?}");
    for two in names.chunks(2) {
        thread::scope(|scope| {
            two.iter().for_each(|name| drop(scope.spawn(move || meets_its_expectations(name))));
        });
    }
}

fn meets_its_expectations(name: &str) {
    let home = Home::new();
    let document: Value =
        serde_json::from_str(&home.good(&format!("run {name} --fast -o json"))).expect("one document");
    let expectations = document["expectations"].as_array().expect("a list");
    assert!(
        !expectations.is_empty() && expectations.iter().all(|one| one["verdict"] == "met"),
        "{name}: {document}"
    );
    assert_eq!(home.processes(), Vec::<u32>::new(), "{name}");
}

/// The scenario files below a folder, relative to it; the policies that steps name are no scenarios.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path).expect("a file").contains("\nkind: Scenario\n") {
                found.insert(path.strip_prefix(folder).expect("a file of the folder").to_owned());
            }
        }
    }
    found
}

#[test]
fn retries_raise_the_success_of_clients_and_the_expectations_are_met() {
    let home = Home::new();
    let output =
        home.good("run retries --fast --junit result.xml --summary summary.md --svg chart.svg -o json");
    let document: Value = serde_json::from_str(&output).expect("one document");
    let expectations = document["expectations"].as_array().expect("a list");
    assert!(expectations.len() >= 5, "{document}");
    assert!(expectations.iter().all(|one| one["verdict"] == "met"), "{document}");

    let events = events(&home);
    assert_eq!(of_type(&events, "run-ended")[0]["status"], "completed");
    let ended = of_type(&events, "step-ended");
    let step = |name: &str| *ended.iter().find(|step| step["step"] == name).expect("the step");
    // 24 requests at 8/s for 3 s, blocks of ten with exactly seven failures: 17 fail in the first 24, give or take the third block.
    let load = &step("no-retries")["totals"]["load"];
    assert_eq!(load["requests"], 24);
    let succeeded = load["succeeded"].as_u64().expect("a number");
    assert!((6..=9).contains(&succeeded), "{succeeded} of 24 succeeded");
    let load = &step("retries")["totals"]["load"];
    assert_eq!(load["requests"], load["succeeded"], "{load}");

    let junit = fs::read_to_string(home.path().join("result.xml")).expect("the file");
    assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
    let summary = fs::read_to_string(home.path().join("summary.md")).expect("the file");
    assert!(summary.contains(&format!("{0} of {0} expectations met", expectations.len())), "{summary}");
    assert!(fs::read_to_string(home.path().join("chart.svg")).expect("the file").starts_with("<svg"));
    assert_eq!(home.processes(), Vec::<u32>::new());
}

/// Each edge of a chain retries twice, and the last service fails every attempt: three attempts become 9 and 27.
#[test]
fn retries_on_each_edge_multiply_and_all_three_counts_of_an_edge_are_equal() {
    let home = Home::new();
    write_counting_scenario(home.path());
    let output = home.good("run ./count.yaml -o json");
    let document: Value = serde_json::from_str(&output).expect("one document");
    assert_eq!(document["expectations"][0]["verdict"], "met", "{document}");
    let events = events(&home);
    let totals = &of_type(&events, "step-ended")[0]["totals"];
    assert_eq!(totals["load"]["requests"], 50);
    assert_eq!(totals["gaps"], Value::Null, "{totals}");
    let received: BTreeMap<&str, u64> = totals["services"]
        .as_array()
        .expect("services")
        .iter()
        .map(|service| (service["service"].as_str().unwrap(), service["received"].as_u64().unwrap()))
        .collect();
    assert_eq!(received, BTreeMap::from([("a", 50), ("b", 150), ("c", 450), ("d", 1350)]));
    for (from, to, requests) in [("a", "b", 50), ("b", "c", 150), ("c", "d", 450)] {
        let edges = totals["edges"].as_array().expect("edges");
        let edge = edges.iter().find(|edge| edge["from"] == from && edge["to"] == to).expect("the edge");
        assert_eq!(
            (edge["requests"].as_u64(), edge["attempts"].as_u64()),
            (Some(requests), Some(received[to])),
            "{edge}"
        );
    }
}

/// A route retries UNAVAILABLE twice, and every call fails with it: each call has three attempts.
#[test]
fn a_service_that_senders_call_and_that_is_not_there_is_an_error_before_anything_is_deployed() {
    let home = Home::new();
    for (url, reason, hint) in [
        (
            "http://cals.calls:8080/",
            "there is no service `cals` in namespace `calls`",
            "did you mean `calls`?",
        ),
        ("http://calls.calls/", "service `calls` in namespace `calls` has no port 80", "it has: 8080"),
        ("http://web.shop/", "there is no service `web` in namespace `shop`", "there is no namespace `shop`"),
    ] {
        let scenario = CALLS.replace("target: calls,", &format!("target: '{url}',"));
        fs::write(home.path().join("grpc.yaml"), scenario).expect("a file");
        fs::write(home.path().join("calls.yaml"), CALLS_ROUTE).expect("a file");
        let output = home.run("run ./grpc.yaml");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        for expected in ["grpc.yaml:13: step `unretried`", reason, hint] {
            assert!(text.contains(expected), "`{expected}` is not in: {text}");
        }
        assert!(!text.contains("Deploying"), "{text}");
    }
}

const CALLS: &str = "apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: calls, title: Calls of gRPC }
topology:
  apiVersion: meshy/v1alpha1
  kind: Topology
  metadata: { name: calls }
  services:
    - { name: calls, type: grpc, entrypoint: true }
steps:
  - name: unretried
    faults: &unavailable [{ service: calls, sequence: [503] }]
    load: &load { target: calls, rate: 6/s, duration: 2s, senders: 1 }
  - name: retried
    policies: [calls.yaml]
    faults: *unavailable
    load: *load
expect:
  - unretried.status.503 == 100%
  - retried.status.503 == 100%
";

const CALLS_ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: calls
  annotations: { retry.linkerd.io/grpc: unavailable, retry.linkerd.io/limit: \"2\" }
spec:
  parentRefs: [{ group: \"\", kind: Service, name: calls, port: 8080 }]
  rules: [{ backendRefs: [{ name: calls, port: 8080 }] }]
";

#[test]
fn a_load_above_the_capacity_is_only_a_warning() {
    let home = Home::new();
    for (rate, warns) in [("60/s", true), ("30/s", false)] {
        let output = home.run(&format!("run storm --set rate={rate} --dry-run"));
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{talk}");
        assert_eq!(talk.contains("above the capacity of 50.0/s"), warns, "{talk}");
    }
}

#[test]
fn the_screen_of_an_audience_shows_the_text_and_the_question_but_no_note() {
    let home = Home::new();
    let output = home.run("run retries --fast --present --only no-retries");
    let talk = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = talk.split_whitespace().collect();
    let talk = words.join(" ");
    assert!(output.status.success() && talk.contains("What share of the requests succeeds?"), "{talk}");
    assert!(!talk.contains("The client sees what the service returns"), "{talk}");
    let planned = home.run("run retries --fast --dry-run");
    let planned = String::from_utf8_lossy(&planned.stderr);
    assert!(planned.contains("The client sees what the service returns"), "{planned}");
}

/// The agreed start of senders is at least 0.5 s ahead: a fault that is over after 0.4 s would miss their load if its clock began
/// when they get their plan.
#[test]
fn faults_of_a_step_begin_with_the_load_of_its_senders() {
    let home = Home::new();
    let scenario = "apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: early, title: A short fault at the beginning }
topology:
  apiVersion: meshy/v1alpha1
  kind: Topology
  metadata: { name: early }
  services: [{ name: app, entrypoint: true }]
steps:
  - name: all
    faults: [{ service: app, errors: 100%, at: 100ms, for: 300ms }]
    load: { target: app, rate: 100/s, duration: 2s, senders: 1 }
expect:
  - all.success != 0%
  - all.success != 100%
";
    fs::write(home.path().join("early.yaml"), scenario).expect("a file");
    let output = home.good("run ./early.yaml -o json");
    let document: Value = serde_json::from_str(&output).expect("one document");
    let verdicts: Vec<_> =
        document["expectations"].as_array().expect("a list").iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, ["met", "met"], "{document}");
}

fn write_counting_scenario(folder: &Path) {
    let policy = |service: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {service}\n  annotations:\n    retry.linkerd.io/http: 5xx\n    \
             retry.linkerd.io/limit: \"2\"\n"
        )
    };
    fs::write(folder.join("retries.yaml"), ["b", "c", "d"].map(policy).join("---\n")).expect("a file");
    let scenario = "apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: count, title: Retries on each edge }
topology:
  apiVersion: meshy/v1alpha1
  kind: Topology
  metadata: { name: count }
  services:
    - { name: a, entrypoint: true, calls: [b] }
    - { name: b, calls: [c] }
    - { name: c, calls: [d] }
    - { name: d, errors: 100% }
steps:
  - name: all
    policies: [retries.yaml]
    load: { target: a, rate: 5/s, duration: 10s }
expect:
  - all.amplification@d == 27
";
    fs::write(folder.join("count.yaml"), scenario).expect("a file");
}

#[test]
fn invalid_input_is_rejected_with_its_place_before_a_cluster_is_started() {
    let home = Home::new();
    write_counting_scenario(home.path());
    let text = fs::read_to_string(home.path().join("count.yaml")).expect("the file");
    for (name, from, to) in [
        ("key", "steps:", "stepps:"),
        ("policy", "[retries.yaml]", "[retrie.yaml]"),
        ("cycle", "calls: [d]", "calls: [d, b]"),
        ("callee", "calls: [d]", "calls: [dd]"),
        ("workers", "errors: 100%", "capacity: { workers: 0, queue: 1, serviceTime: { mean: 1s } }"),
        ("service", "target: a", "target: x"),
        ("entry", "target: a", "target: b"),
        ("rate", "rate: 5/s", "rate: 0/s"),
        ("expectation", "all.amplification", "al.amplification"),
        (
            "fault",
            "steps:\n  - name: all\n",
            "steps:\n  - name: all\n    faults: [{ service: dd, down: true }]\n",
        ),
        ("place", "@d ==", "@dd =="),
    ] {
        fs::write(home.path().join(format!("{name}.yaml")), text.replace(from, to)).expect("a file");
    }
    let policies = fs::read_to_string(home.path().join("retries.yaml")).expect("the policies");
    fs::write(home.path().join("other-policy.yaml"), policies.replace("name: b", "name: bb"))
        .expect("a file");
    fs::write(home.path().join("other.yaml"), text.replace("[retries.yaml]", "[other-policy.yaml]"))
        .expect("a file");
    let (before, rest) = text.split_once("topology:").expect("a topology");
    let (_, steps) = rest.split_once("steps:").expect("steps");
    let named = format!("{before}topology: shopp\nsteps:{steps}");
    fs::write(home.path().join("topology.yaml"), named).expect("a file");
    for (line, wanted) in [
        ("run ./key.yaml", "key.yaml:13"),
        (
            "run ./policy.yaml",
            "policy.yaml:15:16: policy `retrie.yaml`: there is no such policy, neither next to the scenario nor shipped; did you mean `retries.yaml`?",
        ),
        (
            "run ./other.yaml",
            "other.yaml:15:16: policy `other-policy.yaml`: unknown service `bb`; did you mean `b`?",
        ),
        ("run ./cycle.yaml", "cycle.yaml:11: cycle of calls: b → c → b"),
        ("run ./callee.yaml", "callee.yaml:11: service `c` calls unknown service `dd`"),
        ("run ./workers.yaml", "workers.yaml:12: invalid value of `workers`"),
        ("run ./topology.yaml", "topology.yaml:4: unknown topology `shopp`; did you mean `shop`?"),
        ("run ./service.yaml", "service.yaml:16:21: unknown service `x`; did you mean `"),
        ("run ./fault.yaml", "fault.yaml:15:25: unknown service `dd`; did you mean `d`?"),
        ("run ./place.yaml", "place.yaml:18:5: unknown service `dd`; did you mean `d`?"),
        ("run ./entry.yaml", "not an entry point"),
        ("run ./rate.yaml", "rate.yaml:16"),
        ("run ./expectation.yaml", "expectation.yaml:18:5: unknown step `al`; did you mean `all`?"),
        ("run ./count.yaml --expect al.success>1%", "--expect: unknown step `al`; did you mean `all`?"),
        ("run retrie", "`retries`"),
        ("run retries --only retrys", "`retries`"),
        ("run retries --set rate=x", "rate"),
        ("run retries --expect success>>1", "success"),
        ("run ./absent.yaml", "absent.yaml"),
        ("run retries --junit absent/result.xml", "there is no folder absent"),
        ("run retries --summary .", "it is a folder"),
    ] {
        let output = home.run(line);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {talk}");
        assert!(talk.contains(wanted) && !talk.contains("Starting"), "{line}: {talk}");
    }
    assert!(!home.path().join(".local").exists(), "something was written");
}
