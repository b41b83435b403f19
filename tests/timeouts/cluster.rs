//! An embedded lab whose cluster's process is stopped (SIGSTOP).

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::commands::{all_once_and_ten_ten_times, needs_the_api};
use crate::home::{Home, signal};
use crate::run::{Ended, evaluate, run, run_all, timed};

/// A lab for each worker: on one lab the commands would wait for each other.
const LABS: [&str; 12] = ["l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "l10", "l11"];

fn command(home: &Home, lab: &str, line: &str) -> Command {
    let line = line.replace("{folder}", &home.lab(lab).display().to_string());
    let mut command = home.command(&timed(&line));
    command.args(["--name", lab, "--yes"]);
    command
}

fn stopped(home: &Home) -> bool {
    LABS.iter().all(|lab| {
        let process = fs::read_to_string(home.lab(lab).join("embedded.lock")).expect("the lab's process");
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") T "))
    })
}

fn stop(home: &Home) {
    for lab in LABS {
        let process = fs::read_to_string(home.lab(lab).join("embedded.lock")).expect("the lab's process");
        signal(process.trim().parse().expect("a number"), Signal::STOP);
    }
}

/// Whether a command may let the process go on, or ends it.
fn changes_the_cluster(line: &str) -> bool {
    ["cluster", "down", "registry", "start", "stop", "up"]
        .contains(&line.split(' ').next().unwrap_or_default())
}

#[test]
fn a_stopped_cluster_is_named_after_the_timeout_and_can_be_taken_down() {
    let home = Home::new();
    for lab in LABS {
        home.good(&format!("up --provider embedded --name {lab}"));
    }
    stop(&home);
    let lines = all_once_and_ten_ten_times();
    let (last, lines): (Vec<&str>, Vec<&str>) = lines.into_iter().partition(|line| changes_the_cluster(line));
    let ended = run_all(&LABS, &lines, |lab, line| command(&home, lab, line));
    assert!(stopped(&home), "a command has let a process go on");
    let false_success = ended.iter().find(|run| run.code() == Some(0) && needs_the_api(&run.line));
    assert!(false_success.is_none(), "{false_success:?}");
    evaluate("stopped cluster", &ended, &["the API server", "is still at work on lab"]);
    let last: Vec<&str> = last.into_iter().filter(|line| !["stop", "down"].contains(line)).collect();
    let ended = run_all(&LABS, &last, |lab, line| command(&home, lab, line));
    evaluate("repair of a stopped cluster", &ended, &["the API server", "is still at work on lab"]);
    stop(&home);
    let ended = run_all(&LABS, &["stop"; 6], |lab, line| command(&home, lab, line));
    assert!(ended.iter().all(|run| run.code() == Some(0)), "{ended:?}");
    evaluate("stop of a stopped cluster", &ended, &[]);
    let ended: Vec<Ended> = LABS.iter().map(|lab| run("down", command(&home, lab, "down"))).collect();
    assert!(ended.iter().all(|run| run.code() == Some(0)), "{ended:?}");
    evaluate("down of a stopped cluster", &ended, &[]);
    assert_eq!(home.processes(), [0u32; 0], "a process is left");
}
