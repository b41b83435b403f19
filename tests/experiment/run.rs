//! `run` on clusters that are there: a lab with a topology of the scenario, the user's own services, a cluster that meshy did
//! not make.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::documents::document;
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
