//! Senders on a real kubelet and scheduler, without a mesh.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::user::{UP, User};

const URL: &str = "http://minimal-service.default:9090/";

/// The sender pods that are there, as `pod/NAME` lines.
fn pods(user: &User) -> String {
    user.kubectl("get pods -A -l app.kubernetes.io/name=meshy-sender -o name")
}

/// Sends a load from pods, which must succeed, and returns its document.
fn load(user: &User, senders: u32) -> Value {
    let (rate, senders) = ((50 * senders).to_string(), senders.to_string());
    let flags = ["--url", URL, "--rate", &rate, "--senders", &senders, "-o", "json"];
    let output = user.run(&[&["traffic", "4s"][..], &flags].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn each_scheduled_request_is_counted_once(user: &User, senders: u32) {
    let document = load(user, senders);
    let sent = &document["senders"];
    assert_eq!((&sent["scheduled_count"], &sent["incomplete"]), (&(200 * senders).into(), &false.into()));
    let each = sent["each"].as_array().unwrap();
    assert_eq!(each.len(), senders as usize);
    assert!(each.iter().all(|one| one["scheduled_count"] == 200 && one["requests_count"] == 200), "{each:?}");
    assert!(each.iter().all(|one| one["node"].as_str().is_some_and(|node| !node.is_empty())), "{each:?}");
    let traffic = &document["traffic"];
    assert_eq!(traffic["requests_count"], 200 * senders, "{traffic}");
    assert_eq!(sent["start_skew_ms"].is_number(), senders > 1, "{sent}");
    assert_eq!(pods(user), "", "{senders} senders were left behind");
}

/// Kills the command while its senders run; `--cleanup` deletes them.
fn senders_of_a_killed_command_are_deleted(user: &User) {
    let line = ["traffic", "120s", "--url", URL, "--rate", "10", "--senders", "2"];
    let mut command = user.command(&line);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while pods(user).lines().count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the senders were not created");
    }
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert_eq!(pods(user).lines().count(), 2);
    user.must(&["traffic", "--cleanup"]);
    assert_eq!(pods(user), "");
}

/// An image that no registry has ends the start with its name; the deadline is 10 minutes.
fn an_image_that_cannot_be_pulled_ends_the_start(user: &User) {
    let image = ["--sender-image", "minimal.invalid/sender:1", "--timeout", "10m"];
    let output = user.run(&[&["traffic", "4s", "--url", URL, "--senders", "2"][..], &image].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot get image `minimal.invalid/sender:1`"), "{stderr}");
    assert!(stderr.contains("hint:"), "{stderr}");
    assert_eq!(pods(user), "");
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn senders_send_each_scheduled_request_once_and_leave_nothing_behind() {
    let user = User::new("senders");
    user.must(&UP);
    for senders in [1, 2, 4] {
        each_scheduled_request_is_counted_once(&user, senders);
    }
    an_image_that_cannot_be_pulled_ends_the_start(&user);
    senders_of_a_killed_command_are_deleted(&user);
    user.must(&["down"]);
    user.assert_gone();
}
