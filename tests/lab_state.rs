//! A lab whose cluster does not run: every command says so at once and names the command that starts it.

use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Signal;

#[path = "support/home.rs"]
mod home;

use home::{Home, signal};

/// Commands that need the lab's cluster.
const COMMANDS: [&str; 39] = [
    "check --certs",
    "check",
    "check --wait",
    "demo",
    "deploy",
    "outcomes",
    "fault",
    "fault 70",
    "inject --all",
    "inject --explain web-1",
    "lint",
    "port-forward svc/bounced-service 0:9090",
    "predict --from-cluster",
    "retry apply",
    "retry delete",
    "retry show",
    "routes",
    "sp apply",
    "sp delete",
    "sp show",
    "split apply",
    "split show",
    "stat",
    "traffic --duration 1s",
    "deploy --delete",
    "inject --remove --all",
    "dashboard --no-open",
    "graph",
    "policy apply bounced-service-sp.yaml",
    "policy breakers bounced-service",
    "policy delete sp/bounced-service",
    "policy migrate bounced-service",
    "policy show bounced-service",
    "run retries --fast --on-lab",
    "run storm",
    "split delete",
    "sweep rps 2 --measured",
    "traffic --cleanup",
    "traffic 1s --senders 1 --url http://bounced-service.default.svc:9090/",
];

/// Longer than any of them takes on a busy machine, and far below the time that a client waits for a server.
const AT_ONCE: Duration = Duration::from_secs(8);

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).join("")
}

/// Each command must report the state and name `start`.
fn every_command_reports(home: &Home, flags: &str, state: &str) {
    for line in COMMANDS {
        let begun = Instant::now();
        let output = home.run(&format!("{line} --yes --timeout 60s{flags}"));
        let (took, said) = (begun.elapsed(), text(&output));
        assert_eq!(output.status.code(), Some(3), "`{line}`: {said}");
        for wanted in [" is stopped", state, &format!("`meshy start{flags}`"), "lab-stopped"] {
            assert!(said.contains(wanted), "`{line}` does not say `{wanted}`: {said}");
        }
        assert!(!said.contains("meshy up"), "`{line}` names a command that does not help: {said}");
        assert!(took < AT_ONCE, "`{line}` took {took:?}");
    }
    let status = home.run(&format!("status{flags}"));
    let said = text(&status);
    assert_eq!(status.status.code(), Some(1), "{said}");
    assert!(said.contains(state) && said.contains(&format!("meshy start{flags}")), "{said}");
}

/// The kernel stops a process when that handles the signal, which is a little later.
fn wait_until_suspended(process: u32) {
    let begun = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
        if stat.contains(") T ") {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{stat}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_command_reports_a_stopped_lab_and_names_start() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("stop");
    every_command_reports(&home, "", "not running");
    home.good("start");
    home.good("stat --window 0s");
}

#[test]
fn every_command_reports_a_killed_lab_of_another_name() {
    let home = Home::new();
    home.good("up --provider embedded --name other");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    signal(cluster, Signal::KILL);
    every_command_reports(&home, " --name other", "not running");
    home.good("start --name other");
    home.good("stat --window 0s --name other");
}

#[test]
fn every_command_reports_a_lab_whose_process_was_suspended_and_start_resumes_it() {
    let home = Home::new();
    home.good("up --provider embedded");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    signal(cluster, Signal::STOP);
    wait_until_suspended(cluster);
    every_command_reports(&home, "", "stopped by a signal");
    home.good("start");
    assert_eq!(home.processes(), [cluster], "it is the same process");
    home.good("stat --window 0s");
}

#[test]
fn a_context_that_is_a_stopped_labs_leads_to_the_same_report() {
    let home = Home::new();
    home.good("up --provider embedded --name other");
    home.good("stop --name other");
    let output = home.run("stat --context embedded-other");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("lab `other` is stopped") && said.contains("`meshy start --name other`"), "{said}");
}

#[test]
fn a_namespace_without_anything_is_not_an_empty_table() {
    let home = Home::new();
    home.good("up --provider embedded");
    let absent = home.run("stat deploy -n nosuch --window 0s");
    assert_eq!(absent.status.code(), Some(2), "{}", text(&absent));
    assert!(text(&absent).contains("there is no namespace `nosuch`"), "{}", text(&absent));

    let empty = home.run("stat sts --window 0s");
    assert!(empty.status.success(), "{}", text(&empty));
    assert!(text(&empty).contains("namespace `default` has no sts"), "{}", text(&empty));

    for line in ["fault 70 bounced-service -n nosuch", "outcomes bounced-service -n nosuch"] {
        let output = home.run(line);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let hint = "hint: there is a service `bounced-service` in namespace `default`";
        assert!(said.contains(hint), "{said}");
    }
}
