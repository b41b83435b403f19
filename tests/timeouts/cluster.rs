//! An embedded lab whose cluster's process is stopped (SIGSTOP).

use std::fs;
use std::process::Command;
use std::thread;

use rustix::process::Signal;

use crate::commands::{all_once_and_ten_ten_times, needs_the_api};
use crate::home::{Home, signal};
use crate::run::{Ended, judge, run, run_all, timed};

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

/// The 30 s that the client library gives a connection end no command, and the user hears that it waits.
fn longer_than_a_connection_takes(home: &Home) {
    let output = home.run("stat --name l0 --timeout 31s");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{}, {stderr}", output.status);
    assert!(stderr.contains("timed out after 31 s while waiting for the API server"), "{stderr}");
    assert!(stderr.starts_with("still waiting for the API server"), "{stderr}");
}

#[test]
fn a_stopped_cluster_is_named_after_the_timeout_and_can_be_taken_down() {
    let home = Home::new();
    for lab in LABS {
        home.good(&format!("up --provider embedded --name {lab}"));
    }
    stop(&home);
    // These two end or remove the lab: they come last.
    let lines = all_once_and_ten_ten_times();
    let lines: Vec<&str> = lines.into_iter().filter(|line| !["stop", "down"].contains(line)).collect();
    let ended = thread::scope(|scope| {
        let patient = scope.spawn(|| longer_than_a_connection_takes(&home));
        let ended = run_all(&LABS, &lines, |lab, line| command(&home, lab, line));
        patient.join().expect("no panic");
        ended
    });
    assert!(stopped(&home), "a command has let a process go on");
    let false_success = ended.iter().find(|run| run.code() == Some(0) && needs_the_api(&run.line));
    assert!(false_success.is_none(), "{false_success:?}");
    judge("stopped cluster", &ended, &["the API server", "is still at work on lab"]);
    let ended = run_all(&LABS, &["stop"; 6], |lab, line| command(&home, lab, line));
    assert!(ended.iter().all(|run| run.code() == Some(0)), "{ended:?}");
    judge("stop of a stopped cluster", &ended, &[]);
    let ended: Vec<Ended> = LABS.iter().map(|lab| run("down", command(&home, lab, "down"))).collect();
    assert!(ended.iter().all(|run| run.code() == Some(0)), "{ended:?}");
    judge("down of a stopped cluster", &ended, &[]);
    assert_eq!(home.processes(), [0u32; 0], "a process is left");
}
