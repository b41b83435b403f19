//! Which process `down` ends: the lab's own and no other.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::home::{Home, signal};

/// A program that is not meshy and holds a lock, as the kernel sees it, until it is killed.
fn holder(file: File) -> Child {
    file.lock().expect("no other process holds it");
    Command::new("sleep").arg("600").stdin(Stdio::from(file)).spawn().expect("sleep starts")
}

fn open(home: &Home, file: &str) -> File {
    let path = home.lab("meshy").join(file);
    File::options().read(true).write(true).create(true).truncate(false).open(path).expect("a lock")
}

#[test]
fn a_program_that_is_not_meshy_is_not_ended_for_the_number_in_a_lock() {
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    home.good("stop");
    let mut sleep = holder(open(&home, "embedded.lock"));
    fs::write(home.lab("meshy").join("embedded.lock"), sleep.id().to_string()).expect("a number");
    for line in ["stop", "start", "up", "down"] {
        let output = home.run(line);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {talk}");
        assert!(
            talk.contains("is locked by a process that is not the cluster of lab `meshy`"),
            "{line}: {talk}"
        );
        assert!(sleep.try_wait().expect("it can be asked").is_none(), "{line} ended another's program");
    }
    sleep.kill().expect("it runs");
    sleep.wait().expect("its end");
    home.good("down");
    assert!(!home.lab("meshy").exists());
}

#[test]
fn the_process_of_another_lab_is_not_ended_for_its_number_in_a_lock() {
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service --name victim");
    let [victim] = home.processes()[..] else { panic!("one process") };
    home.good("up --provider embedded --overlay minimal-service");
    // The lab's own process is found by its lock then.
    fs::write(home.lab("meshy").join("embedded.lock"), victim.to_string()).expect("a number");
    home.good("down");
    assert_eq!(home.processes(), [victim]);
    home.good("down --name victim");
    assert_eq!(home.processes(), Vec::<u32>::new());
}

#[test]
fn a_stopped_process_is_ended_at_once_and_one_whose_number_is_lost_is_found() {
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    fs::write(home.lab("meshy").join("embedded.lock"), "junk").expect("a file");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    crate::home::signal(cluster, rustix::process::Signal::STOP);
    let begun = std::time::Instant::now();
    home.good("down");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(home.processes(), Vec::<u32>::new());
}

/// A pod that runs and is never ready: nothing listens where its probe connects.
const NEVER_READY: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: never}
spec:
  selector: {matchLabels: {app: never}}
  template:
    metadata: {labels: {app: never}}
    spec:
      containers:
      - name: service
        image: localhost:5000/minimal-service:v1.0.0
        readinessProbe: {tcpSocket: {port: 1}}
";

#[test]
fn a_wait_on_a_cluster_whose_process_dies_ends_before_its_time_is_over() {
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    fs::write(home.path().join("never.yaml"), NEVER_READY).expect("a file");
    let mut deploy = home.command("deploy -f never.yaml --timeout 120s");
    let mut deploy = deploy.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    // From then on it waits for the pod.
    while !home.run("inject deploy/never --dry-run").status.success() {
        assert!(deploy.try_wait().expect("it can be asked").is_none(), "the deployment ended by itself");
    }
    signal(cluster, Signal::KILL);
    let output = deploy.wait_with_output().expect("its end");
    let talk = String::from_utf8_lossy(&output.stderr);
    // At its time it would end with 4.
    assert_eq!(output.status.code(), Some(3), "{talk}");
    for text in ["lab `meshy` is stopped", "embedded cluster is not running", "its log is ", "meshy start"] {
        assert!(talk.contains(text), "no `{text}` in\n{talk}");
    }
}
