//! What goes wrong on a real engine: kills, taken ports, no engine, foreign things in the way.

use std::net::TcpListener;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::user::{UP, User, docker, networks};

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_kill_at_any_moment_is_repaired_by_the_next_up_and_removed_by_down() {
    let before = networks();
    let user = User::new("kill");
    let mut seed = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for round in 0..5 {
        // Within the minute that an `up` takes here; different at each run, and printed.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let moment = Duration::from_millis(200 + (seed >> 33) % 35_000);
        let mut child = user.command(&UP).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("killed after {moment:.1?}");
        if round % 2 == 0 {
            user.must(&["down"]);
            user.assert_gone();
        }
    }
    user.up();
    user.well();
    user.must(&["down"]);
    user.assert_gone();
    assert_eq!(networks(), before);
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn taken_ports_are_found_before_anything_is_made() {
    let user = User::new("ports");
    let taken: Vec<TcpListener> =
        [80, 8443, 5000].into_iter().filter_map(|p| TcpListener::bind(("127.0.0.1", p)).ok()).collect();
    assert!(!taken.is_empty());
    let args = [&UP[..], &["--dry-run", "-o", "json"]].concat();
    let plan: Value = serde_json::from_slice(&user.run(&args).stdout).unwrap();
    assert_eq!((plan["http_port"].as_i64(), plan["https_port"].as_i64()), (Some(8081), Some(8444)), "{plan}");
    assert_eq!(plan["registry_port"], 5001);
    user.assert_gone();
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_dead_engine_is_reported_with_what_to_do() {
    let user = User::new("dead");
    let output = user.command(&UP).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("no Docker engine was found") && stderr.contains("hint:"), "{stderr}");
    user.must(&["down"]);
    user.assert_gone();
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn a_foreign_container_of_the_registrys_name_is_reported_and_left_alone() {
    let user = User::new("foreign");
    let name = format!("private-registry-{}", user.lab);
    docker(&["create", "--name", &name, "registry:2"]);
    let output = user.run(&UP);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    user.must(&["down"]);
    let there = docker(&["ps", "-aq", "--filter", &format!("name={name}")]);
    docker(&["rm", "-f", &name]);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("was not created by meshy"), "{stderr}");
    assert!(!there.is_empty(), "the foreign container is gone");
}

#[test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
fn an_image_that_cannot_be_pulled_ends_the_run_early_with_what_to_do() {
    let user = User::new("image");
    let begun = Instant::now();
    let node = user.run(&[&UP[..], &["--node-image", "localhost:1/kindest/node:none"]].concat());
    let stderr = String::from_utf8_lossy(&node.stderr).into_owned();
    assert_eq!(node.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("image `localhost:1/kindest/node:none` cannot be pulled"), "{stderr}");
    assert!(stderr.contains("hint:") && stderr.contains("--node-image"), "{stderr}");

    let service = user.run(
        &[
            &UP[..],
            &["--workers", "0", "--node-image", &node_image(), "--image", "minimal.invalid/service:1"],
        ]
        .concat(),
    );
    let stderr = String::from_utf8_lossy(&service.stderr).into_owned();
    assert_eq!(service.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot get image `minimal.invalid/service:1`") && stderr.contains("hint:"),
        "{stderr}"
    );
    assert!(begun.elapsed() < Duration::from_secs(180), "it waited for the deadline: {:?}", begun.elapsed());
    user.must(&["down"]);
    user.assert_gone();
}

fn node_image() -> String {
    std::env::var("MESHY_NODE_IMAGE").expect("tests/testbed.sh sets it")
}
