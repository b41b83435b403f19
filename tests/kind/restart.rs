//! Containers that stop and start behind meshy's back, as a reboot does.

use std::process::Output;

use serde_json::Value;

use crate::user::{UP, User, docker};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn addresses(user: &User, nodes: [&str; 2]) -> [String; 2] {
    let format = "{{(index .NetworkSettings.Networks \"kind\").IPAddress}}";
    nodes.map(|node| docker(&["inspect", "-f", format, &format!("{}-{node}", user.lab)]))
}

/// No pod is asked to run since before its node was started.
fn nothing_is_from_before(user: &User, nodes: &[String]) {
    for node in nodes {
        // Both have the form 2026-01-01T00:00:00Z, the engine with a fraction; compared to the second.
        let started = docker(&["inspect", "-f", "{{.State.StartedAt}}", node]);
        let pods = user.kubectl(&format!("get pods -A -o json --field-selector spec.nodeName={node}"));
        let pods: Value = serde_json::from_str(&pods).unwrap();
        for pod in pods["items"].as_array().unwrap() {
            let name = &pod["metadata"]["name"];
            for container in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
                if let Some(begun) = container["state"]["running"]["startedAt"].as_str() {
                    assert!(
                        begun[..19] >= started[..19],
                        "{name} runs since {begun}, {node} since {started}"
                    );
                }
            }
        }
    }
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn what_a_restart_changed_is_reported_by_status_and_repaired_by_up() {
    let user = User::new("restart");
    user.must(&[&UP[..], &["--workers", "1"]].concat());
    let nodes = ["control-plane", "worker"];
    let names = nodes.map(|node| format!("{}-{node}", user.lab));
    let registry = format!("private-registry-{}", user.lab);
    let before = addresses(&user, nodes);

    docker(&["stop", "-t", "5", &names[0], &names[1], &registry]);
    let status = user.run(&["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", text(&status));
    for name in names.iter().chain([&registry]) {
        let line = text(&status).lines().any(|l| l.contains(name.as_str()) && l.contains("stopped"));
        assert!(line, "`{name}`: {}", text(&status));
    }
    user.must(&["up"]);
    nothing_is_from_before(&user, &names);
    assert_eq!(addresses(&user, nodes), before, "the nodes are where they were");
    user.well();

    // Started by others, in an order that gives each node the other's address.
    docker(&["stop", "-t", "5", &names[0], &names[1], &registry]);
    docker(&["start", &registry, &names[1], &names[0]]);
    assert_ne!(addresses(&user, nodes), before);
    let status = user.run(&["status"]);
    assert!(text(&status).contains(&format!("and was {}", before[0])), "{}", text(&status));
    user.must(&["up"]);
    nothing_is_from_before(&user, &names);
    user.well();
    user.must(&["down"]);
    user.assert_gone();
}
