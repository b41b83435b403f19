//! `meshy traffic` from pods of an embedded lab.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

#[path = "support/home.rs"]
mod home;

use home::{Home, signal};

const URL: &str = "http://minimal-service.default:9090/";

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_load_from_pods_has_each_scheduled_request_and_leaves_no_pod_behind() {
    let home = Home::new();
    home.good("up --provider embedded");
    // The default for the URL of a Service on a cluster that meshy made.
    let one = json(&home.good(&format!("traffic 1s --url {URL} --rate 20 -o json")));
    assert_eq!(one["senders"]["scheduled_count"], 20);
    assert_eq!(one["senders"]["each"].as_array().expect("a list").len(), 1);
    let four = json(&home.good(&format!(
        "traffic 2s --url {URL} --rate 40 --senders 4 --from deploy/minimal-service -o json"
    )));
    assert_eq!(
        (&four["senders"]["incomplete"], &four["traffic"]["requests_count"]),
        (&false.into(), &80.into())
    );
    let each = four["senders"]["each"].as_array().expect("a list");
    assert!(each.iter().all(|sender| sender["requests_count"] == 20), "{each:?}");
    assert!(four["senders"]["start_skew_ms"].is_number(), "{}", four["senders"]);
    let forwarded = json(&home.good(&format!("traffic 1s --url {URL} --rate 10 --via port-forward -o json")));
    assert!(forwarded.get("senders").is_none());
    assert_eq!(home.good("traffic --cleanup -o json").trim(), "[]");
}

#[test]
fn senders_of_a_killed_command_are_deleted_by_cleanup() {
    let home = Home::new();
    home.good("up --provider embedded");
    let mut child = home.spawn(&format!("traffic 60s --url {URL} --rate 10 --senders 2"));
    let deadline = Instant::now() + Duration::from_secs(120);
    // `--dry-run` lists the pods on stderr and deletes none.
    let left = || {
        let output = home.run("traffic --cleanup --dry-run");
        String::from_utf8_lossy(&output.stderr).matches("would delete pod").count()
    };
    while left() < 2 {
        assert!(Instant::now() < deadline, "the senders did not start");
    }
    signal(child.id(), Signal::KILL);
    child.wait().expect("the command ended");
    assert_eq!(left(), 2);
    let removed = json(&home.good("traffic --cleanup -o json"));
    assert_eq!(removed.as_array().map(Vec::len), Some(2));
    assert_eq!(left(), 0);
}

#[test]
fn flags_that_cannot_be_followed_are_errors_before_anything_is_done() {
    let home = Home::new();
    for (line, reason) in [
        ("traffic --senders 2", "are sent to the ingress"),
        ("traffic --url ftp://x/", "not supported"),
        ("traffic --url http://x/ --targets y.yaml", "cannot be used with"),
        ("traffic --targets absent.yaml", "cannot read absent.yaml"),
        ("traffic --url http://x/ --senders 65", "65"),
    ] {
        let output = home.run(line);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && talk.contains(reason), "{line}: {talk}");
    }
}
