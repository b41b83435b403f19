//! The life of a process: its environment, its output, and its end with the lab.

use std::fs;

use rustix::process::Signal;

use crate::home::signal;
use crate::lab::{Lab, deployment, wait_until};

/// Writes its environment, starts a process in a separate session, and reports SIGTERM.
const SCRIPT: &str = r#"
trap 'echo terminated > "$HOME/end"; exit 0' TERM
setsid sleep 600 &
env > "$HOME/env.part"; echo "ARGS=$*" >> "$HOME/env.part"; mv "$HOME/env.part" "$HOME/env"
while :; do sleep 0.1; done
"#;

fn start(lab: &Lab) -> serde_json::Value {
    lab.write("app.sh", SCRIPT);
    let container = "command: [evil], args: [--port, '8080'], env: [{ name: CART_URL, value: 'http://cart:8080' }, \
                     { name: LD_PRELOAD, value: /tmp/evil.so }, { name: NODE_OPTIONS, value: -x }]";
    lab.write("app.yaml", &deployment("app", "shop/app:1", container));
    lab.good_up("-f app.yaml", &["--program", "shop/app=sh ./app.sh first"])
}

#[test]
fn a_program_gets_its_environment_and_ends_with_the_lab() {
    let lab = Lab::new();
    let up = start(&lab);
    let env = lab.read("env");
    let value = |name: &str| env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert!(value("CART_URL").expect("a value").starts_with("http://127.0.0.1:"), "{env}");
    assert_eq!((value("LD_PRELOAD"), value("NODE_OPTIONS")), (None, None), "{env}");
    assert_eq!(value("ARGS"), Some("first --port 8080"), "without a declared port nothing is replaced");
    let rewritten = up["rewritten"].to_string();
    for expected in [
        "CART_URL: cart:8080 is 127.0.0.1:",
        "are not passed to a program of this machine: LD_PRELOAD, NODE_OPTIONS",
        "`command` of the manifest is ignored: evil",
    ] {
        assert!(rewritten.contains(expected), "{rewritten}");
    }
    assert!(lab.0.processes().len() >= 4, "cluster, supervisor, program and what it has started");
    lab.0.good("stop");
    assert_eq!(lab.read("end"), "terminated\n");
    assert_eq!(lab.0.processes(), Vec::<u32>::new());
    lab.0.good("start");
    lab.0.good("down");
    wait_until("a process outlived `down`", || lab.0.processes().is_empty());
}

#[test]
fn no_process_outlives_a_killed_cluster() {
    let lab = Lab::new();
    start(&lab);
    lab.read("env");
    let cluster = fs::read_to_string(lab.0.lab("meshy").join("embedded.lock")).expect("a number");
    signal(cluster.trim().parse().expect("a number"), Signal::KILL);
    wait_until("a process outlived its cluster", || lab.0.processes().is_empty());
    assert!(!lab.0.path().join("end").exists(), "it was killed and not terminated");
    // With other programs the cluster starts again.
    lab.good_up("-f app.yaml", &["--program", "shop/app=sh ./app.sh second"]);
    wait_until("the other program", || lab.read("env").contains("ARGS=second"));
    lab.good_up("", &[]);
}

#[test]
fn lint_warns_of_a_program_without_a_replaced_value() {
    let lab = Lab::new();
    lab.write("app.sh", "trap 'exit 0' TERM\nwhile :; do sleep 0.1; done\n");
    let calling = "env: [{ name: CART_URL, value: 'http://cart:8080' }]";
    let manifests = [("calls", calling), ("silent", "env: [{ name: MODE, value: test }]")]
        .map(|(name, container)| deployment(name, "shop/app:1", container));
    lab.write("app.yaml", &manifests.join("---\n"));
    lab.good_up("-f app.yaml", &["--program", "shop/app=sh ./app.sh"]);
    let output = lab.0.command("lint -o json").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("a list");
    let [finding] = &findings[..] else { panic!("{document}") };
    assert_eq!((&finding["id"], &finding["level"]), (&"program-calls-unknown".into(), &"warning".into()));
    let name = finding["place"]["name"].as_str().expect("a pod");
    assert!(name.starts_with("silent-"), "{finding}");
}

/// The processes of a lab whose command line contains a word.
fn with_word(lab: &Lab, word: &str) -> Vec<u32> {
    let contains = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|item| item == word.as_bytes())
    };
    lab.0.processes().into_iter().filter(contains).collect()
}

#[test]
fn what_a_program_has_started_ends_with_its_supervisor() {
    let lab = Lab::new();
    start(&lab);
    lab.read("env");
    let (supervisors, sleeps) = (with_word(&lab, "internal-supervise"), with_word(&lab, "600"));
    assert_eq!((supervisors.len(), sleeps.len()), (1, 1));
    signal(supervisors[0], Signal::KILL);
    wait_until("it outlived its supervisor", || !lab.0.processes().contains(&sleeps[0]));
    wait_until("the program was not started again", || !with_word(&lab, "600").is_empty());
}

#[test]
fn what_was_left_when_cluster_and_supervisor_were_killed_ends_with_down() {
    let lab = Lab::new();
    start(&lab);
    lab.read("env");
    let cluster = with_word(&lab, "internal-serve")[0];
    // The cluster cannot react to the end of the supervisor.
    signal(cluster, Signal::STOP);
    with_word(&lab, "internal-supervise").into_iter().for_each(|pid| signal(pid, Signal::KILL));
    signal(cluster, Signal::KILL);
    wait_until("the program", || with_word(&lab, "./app.sh").is_empty());
    assert_eq!(with_word(&lab, "600").len(), 1, "nothing was left that `down` could end");
    lab.0.good("down");
    wait_until("a process outlived `down`", || lab.0.processes().is_empty());
}

#[test]
fn a_program_that_starts_again_shows_only_its_present_ports() {
    let lab = Lab::new();
    let script = "test -e \"$HOME/second\" && { echo ready > \"$HOME/end\"; while :; do sleep 0.1; done; }\n\
                  touch \"$HOME/second\"; exit 3\n";
    lab.write("app.sh", script);
    let container = "env: [{ name: CART_URL, value: 'http://cart:8080' }]";
    lab.write("app.yaml", &deployment("app", "shop/app:1", container));
    lab.up("-f app.yaml", &["--program", "shop/app=sh ./app.sh"]);
    lab.read("end");
    let up = lab.good_up("", &[]);
    let rewritten: Vec<&str> =
        up["rewritten"].as_array().expect("a list").iter().filter_map(|item| item["text"].as_str()).collect();
    assert_eq!(rewritten.len(), 1, "{rewritten:?}");
    assert!(rewritten[0].starts_with("CART_URL: cart:8080 is 127.0.0.1:"), "{rewritten:?}");
}

#[test]
fn a_stub_takes_the_place_of_a_workload_without_a_program() {
    let lab = Lab::new();
    lab.write("price.yaml", &deployment("price", "shop/price:1", "ports: [{ containerPort: 80 }]"));
    let up = lab.good_up("-f price.yaml", &["--stub", "price=errors:30%,delay:1ms"]);
    let objects = up["services"][0]["objects"].to_string();
    assert!(objects.contains("deployment `price`") && objects.contains("service `price`"), "{objects}");
    assert_eq!(up["lab"]["stubs"], serde_json::json!(["price=errors:30%,delay:1ms"]));
}

#[test]
fn a_stub_that_calls_failing_stubs_is_not_predicted_by_its_own_failures() {
    let lab = Lab::new();
    lab.write("cart.yaml", &deployment("cart", "shop/cart:1", "ports: [{ containerPort: 80 }]"));
    let stubs = ["--stub", "cart=calls:price+stock", "--stub", "price=errors:100%", "--stub", "stock"];
    lab.good_up("-f cart.yaml", &stubs);
    let load = lab.0.good("traffic 1s --rate 10 --url http://cart.default:8080/ -o json");
    let mesh = serde_json::from_str::<serde_json::Value>(&load).expect("JSON")["mesh"].clone();
    assert_eq!(
        (&mesh["clients"]["failed_count"], &mesh["prediction"]),
        (&10.into(), &serde_json::Value::Null)
    );
    let why = mesh["unpredicted"].as_str().expect("a reason");
    assert!(why.starts_with("`cart` calls `price`, where 10 of 10 requests failed"), "{why}");
}
