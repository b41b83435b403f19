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
    // The default for the URL of a Service on a cluster that meshy created.
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
    for via in ["senders", "port-forward"] {
        let calls = URL.replace("http://", "grpc://");
        let calls = json(&home.good(&format!("traffic 1s --url {calls} --rate 10 --via {via} -o json")));
        assert_eq!(calls["traffic"]["outcomes_count"], serde_json::json!({"gRPC 0 OK": 10}), "{via}");
    }
    assert_eq!(home.good("traffic --cleanup -o json").trim(), "[]");
}

/// Responses of a workload since its proxy started.
fn responses(home: &Home, workload: &str) -> u64 {
    let stat = json(&home.good("stat --window 0s -o json"));
    let row =
        stat["rows"].as_array().expect("rows").iter().find(|row| row["name"] == workload).expect("a row");
    row["responses_count"].as_u64().unwrap_or(0)
}

#[test]
fn several_targets_get_requests_by_their_weights_with_the_body_of_a_file() {
    let home = Home::new();
    home.good("up --provider embedded");
    let body = r#"{"rebound":"true","endpoint":"http://bounced-service:9090"}"#;
    std::fs::create_dir(home.path().join("load")).expect("a folder");
    std::fs::write(home.path().join("load/bounce.json"), body).expect("a file");
    let targets = "targets:\n  - { url: 'http://bounced-service.default:9090/', weight: 9 }\n  \
                   - { url: 'http://minimal-service.default:9090/bounce', method: POST, bodyFile: bounce.json, weight: 1 }\n";
    std::fs::write(home.path().join("load/targets.yaml"), targets).expect("a file");
    let before = ["bounced-service", "minimal-service"].map(|name| responses(&home, name));
    let line = "traffic 2s --targets load/targets.yaml --rate 50 --senders 2 -o json";
    let traffic = json(&home.good(line))["traffic"].clone();
    let histogram = traffic["histogram"].as_array().expect("buckets").iter();
    let counted: u64 = histogram.filter_map(|bucket| bucket["requests_count"].as_u64()).sum();
    assert_eq!((&traffic["requests_count"], counted), (&100.into(), 100), "{traffic}");
    // Each of the ten bodies makes minimal-service call bounced-service once more.
    let after = ["bounced-service", "minimal-service"].map(|name| responses(&home, name));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [90 + 10, 10]);
    let text = home.good("traffic 1s --targets load/targets.yaml --rate 10 --via port-forward");
    assert!(text.contains("10 requests in ") && text.contains(" up to "), "{text}");
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
fn on_a_foreign_cluster_senders_need_a_flag_an_image_and_consent() {
    let home = Home::new();
    home.good("up --provider embedded");
    // Another user with the same kubeconfig, for whom meshy did not create the cluster.
    let other = Home::new();
    std::fs::create_dir(other.path().join(".kube")).expect("a folder");
    std::fs::copy(home.kubeconfig(), other.kubeconfig()).expect("a kubeconfig");
    let line =
        "traffic 1s --url http://minimal-service.default.svc:9090/ --rate 5 --context embedded-meshy -o json";
    let image = "--sender-image minimal-service";
    for (flags, status, reason) in [
        (format!("--senders 1 {image}"), 2, "`--yes` consents"),
        ("--senders 1 --yes".to_owned(), 2, "`--sender-image` names the test service's image"),
    ] {
        let refused = other.run(&format!("{line} {flags}"));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(status), "{flags}: {text}");
        assert!(text.contains(reason), "{flags}: {text}");
    }
    assert!(json(&other.good(line)).get("senders").is_none(), "pods are not the default there");
    let sent = json(&other.good(&format!("{line} --senders 1 {image} --yes")));
    assert_eq!(sent["senders"]["scheduled_count"], 5);
}

#[test]
fn a_service_that_is_not_there_is_an_error_before_any_pod_is_made() {
    let home = Home::new();
    home.good("up --provider embedded");
    let targets =
        format!("targets:\n  - {{ url: '{URL}' }}\n  - {{ url: 'http://bounced-servce.default:9090/' }}\n");
    std::fs::write(home.path().join("targets.yaml"), targets).expect("a file");
    let no_shop = ["there is no service `web` in namespace `shop`", "there is no namespace `shop`"];
    let no_minimal = ["there is no service `minimal-servce`", "did you mean `minimal-service`?"];
    let no_bounced = ["there is no service `bounced-servce`", "did you mean `bounced-service`?"];
    let no_port = ["service `minimal-service` in namespace `default` has no port 1", "it has: 9090"];
    for (flags, reasons) in [
        ("--url http://web.shop:8080/ --senders 2", no_shop),
        ("--url http://web.shop.svc:8080/ --senders 2", no_shop),
        ("--url http://minimal-servce.default:9090/", no_minimal),
        ("--url http://minimal-servce.default:9090/ --from deploy/minimal-service", no_minimal),
        ("--url http://minimal-servce.default:9090/ --via port-forward", no_minimal),
        ("--url http://minimal-servce:9090/ --senders 1", no_minimal),
        ("--targets targets.yaml --senders 1", no_bounced),
        ("--url http://minimal-service.default:9090/ --outcomes bounced-servce", no_bounced),
        ("--outcomes bounced-servce", no_bounced),
        ("--url http://minimal-service.default:1/", no_port),
    ] {
        let output = home.run(&format!("traffic 1s --rate 5 {flags}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags}: {text}");
        for reason in reasons {
            assert!(text.contains(reason), "{flags}: `{reason}` is not in: {text}");
        }
        assert!(!text.contains("Starting"), "{flags}: {text}");
    }
}

#[test]
fn a_service_without_a_ready_endpoint_is_a_note() {
    let home = Home::new();
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: empty }\nspec:\n  selector: { app: empty }\n  \
                   ports: [{ port: 8080 }]\n";
    std::fs::write(home.path().join("empty.yaml"), service).expect("a file");
    home.good("up --provider embedded -f empty.yaml");
    let output = home.run("traffic 1s --rate 5 --url http://empty.default:8080/ --senders 1");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("service `empty` in namespace `default` has no ready endpoint"), "{text}");
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
        ("traffic --url grpc://x/a.B/C -X GET", "always a POST"),
    ] {
        let output = home.run(line);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && talk.contains(reason), "{line}: {talk}");
    }
}
