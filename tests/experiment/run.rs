//! `run` on clusters that are there: a lab with a topology of the scenario, the user's own services, a cluster that meshy did
//! not make.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::documents::document;
use crate::home::Home;
use crate::restore::{Lab, said};

/// A scenario on the user's services: errors and a policy in its second step.
const OWN: &str = r#"apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: own }
steps:
  - name: before
    faults: [{ service: bounced-service, errors: 50%, blocks: 10 }]
    load: &load
      target: minimal-service
      via: port-forward
      method: POST
      path: /bounce
      body: '{"rebound":"true","endpoint":"http://bounced-service.default.svc.cluster.local:9090"}'
      statusFrom: body
      rate: 10/s
      duration: 5s
  - name: after
    policies: [retries.yaml]
    faults: [{ service: bounced-service, errors: 50%, blocks: 10 }]
    load: *load
expect:
  - before.success == 50%
  - after.success > before.success
"#;

const RETRIES: &str = "apiVersion: v1
kind: Service
metadata:
  name: bounced-service
  annotations:
    retry.linkerd.io/http: 5xx
    retry.linkerd.io/limit: \"5\"
";

/// A scenario with a topology whose step is long enough to be killed.
const LONG: &str = "apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: long }
topology: chain-2
steps:
  - name: load
    load: { target: front, rate: 5/s, duration: 60s }
";

/// 25 proxies besides the ingress: more than are scraped in a second.
const MANY: &str = "apiVersion: meshy/v1alpha1
kind: Topology
metadata: { name: many }
services:
  - { name: front, entrypoint: true, calls: [cart] }
  - { name: cart, replicas: 24 }
";

const ON_MANY: &str = "apiVersion: meshy/v1alpha1
kind: Scenario
metadata: { name: on-many }
topology: ./many.yaml
steps:
  - name: load
    load: { target: front, rate: 20/s, duration: 6s }
expect:
  - load[1s..4s].actual-rate@cart > 17/s
  - load[1s..4s].actual-rate@cart < 23/s
  - load.amplification@cart == 1
";

fn write(lab: &Lab) {
    let short = LONG.replace("60s", "1s");
    for (name, text) in
        [("own.yaml", OWN), ("retries.yaml", RETRIES), ("long.yaml", LONG), ("short.yaml", &short)]
    {
        fs::write(lab.home.path().join(name), text).expect("a file");
    }
}

#[test]
fn a_scenario_on_the_users_services_changes_them_for_its_steps_only() {
    let lab = Lab::up();
    write(&lab);
    lab.home.good("fault 500,200 bounced-service");
    let before = lab.state();
    let output = lab.home.run("run ./own.yaml --fresh");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("a new cluster does not have the services"), "{}", said(&output));
    let output = lab.home.run("run ./own.yaml -o json");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let run = document("run", &String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        (&run["lab"], &run["verdict"]["holds"]),
        (&Value::from("meshy"), &Value::from(true)),
        "{run:#}"
    );
    assert_eq!(lab.state(), before);
}

#[test]
fn a_topology_on_a_lab_is_deployed_into_a_namespace_that_ends_with_the_run_or_by_restore() {
    let lab = Lab::up();
    write(&lab);
    let (before, namespaces) = (lab.state(), lab.namespaces());
    let running = lab.running("run ./long.yaml", "1 of 1");
    assert!(lab.namespaces().contains(&"long".to_owned()), "{:?}", lab.namespaces());
    let (output, rest) = running.end(Signal::INT);
    assert_eq!(output.status.code(), Some(130), "{rest}");
    assert_eq!((lab.state(), lab.namespaces()), (before.clone(), namespaces.clone()));

    lab.running("run ./long.yaml", "1 of 1").end(Signal::KILL);
    assert!(lab.namespaces().contains(&"long".to_owned()), "nothing is restored yet");
    let output = lab.home.run("run --restore");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("`meshy run` was ended before it could restore"), "{}", said(&output));
    assert_eq!(lab.namespaces(), namespaces);
    assert_eq!(lab.state(), before);

    // A namespace that was there before a run is there after it.
    lab.home.good("run ./short.yaml --keep");
    lab.home.good("run ./short.yaml");
    assert!(lab.namespaces().contains(&"long".to_owned()), "{:?}", lab.namespaces());
}

#[test]
fn many_proxies_are_scraped_in_rotation_and_all_of_them_where_a_condition_needs_their_counts() {
    let home = Home::new();
    fs::write(home.path().join("many.yaml"), MANY).expect("a file");
    fs::write(home.path().join("on-many.yaml"), ON_MANY).expect("a file");
    let output = home.run("run ./on-many.yaml --fresh -o json");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let run = document("run", &String::from_utf8_lossy(&output.stdout));
    let file = fs::read_to_string(run["events"].as_str().expect("a file")).expect("the run");
    let events: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let calls = |event: &Value, requests: &str| {
        let edges = event["edges"].as_array().into_iter().flatten();
        edges.filter(|edge| edge["to"] == "cart").map(|edge| edge[requests].as_u64()).next().flatten()
    };
    let ticks = events.iter().filter(|event| event["type"] == "tick" && event["edges"].is_array());
    let ticks: Vec<(bool, Option<u64>)> =
        ticks.map(|tick| (tick["stale"] == true, calls(tick, "attempts"))).collect();
    let stale: Vec<bool> = ticks.iter().map(|(stale, _)| *stale).collect();
    assert!(stale.starts_with(&[false, true, true, false, true]), "{ticks:?}");
    assert!(ticks.is_sorted_by_key(|(_, attempts)| *attempts), "cumulative: {ticks:?}");
    let ended = events.iter().find(|event| event["type"] == "step-ended").expect("the end");
    assert_eq!(calls(&ended["totals"], "attempts"), Some(120), "the totals are those of all proxies");
}

#[test]
fn a_cluster_that_meshy_did_not_make_is_guarded() {
    let lab = Lab::up();
    write(&lab);
    let before = lab.state();
    // For another user of the same kubeconfig the lab is a cluster like any other.
    let other = crate::home::Home::new();
    for name in ["own.yaml", "retries.yaml"] {
        fs::copy(lab.home.path().join(name), other.path().join(name)).expect("a copy");
    }
    let context = format!("--context embedded-meshy --kubeconfig {}", lab.home.kubeconfig().display());
    for (flags, wanted) in [
        ("", "--allow-storm"),
        ("--allow-storm", "--yes"),
        ("--allow-storm --yes --max-attempts 5", "5 attempts/s are allowed"),
    ] {
        let refused = other.run(&format!("run ./own.yaml {context} {flags}"));
        assert_eq!(refused.status.code(), Some(2), "{flags}: {}", said(&refused));
        assert!(said(&refused).contains(wanted), "{flags}: {}", said(&refused));
        assert_eq!(lab.state(), before, "{flags}");
    }
    // Ten requests a second are allowed, but not the attempts that retries add.
    let stopped = other.run(&format!("run ./own.yaml {context} --allow-storm --yes --max-attempts 14"));
    assert_eq!(stopped.status.code(), Some(1), "{}", said(&stopped));
    assert!(said(&stopped).contains("attempts per second, 14 are allowed"), "{}", said(&stopped));
    assert_eq!(lab.state(), before, "the end at the cap restores");
    let good = other.run(&format!("run ./own.yaml {context} --allow-storm --yes -o json"));
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    assert_eq!(lab.state(), before);
}
