//! Loads of gRPC.

use super::*;

#[test]
fn calls_of_grpc_are_a_load_whose_retries_are_decided_by_the_grpc_status() {
    let home = Home::new();
    fs::write(home.path().join("calls.yaml"), CALLS_ROUTE).expect("a file");
    fs::write(home.path().join("grpc.yaml"), CALLS).expect("a file");
    let output = home.good("run ./grpc.yaml -o json");
    let document: Value = serde_json::from_str(&output).expect("one document");
    let expectations = document["expectations"].as_array().expect("a list");
    assert!(expectations.iter().all(|one| one["verdict"] == "met"), "{document}");
    let events = events(&home);
    let ended = of_type(&events, "step-ended");
    let totals = |name: &str| &ended.iter().find(|step| step["step"] == name).expect("the step")["totals"];
    for (step, attempts) in [("unretried", 12), ("retried", 36)] {
        let totals = totals(step);
        assert_eq!(totals["results"], serde_json::json!({"gRPC 14 UNAVAILABLE": 12}), "{totals}");
        assert_eq!(totals["services"][0]["received"], attempts, "{totals}");
    }
    let edge = &totals("retried")["edges"][0];
    assert_eq!((&edge["requests"], &edge["attempts"]), (&12.into(), &36.into()), "{edge}");
    assert_eq!(edge["outcomes"], serde_json::json!({"limit-reached": 12}), "{edge}");
}

#[test]
fn calls_of_grpc_reach_the_cluster_of_the_run_by_a_port_forward() {
    let home = Home::new();
    fs::write(home.path().join("calls.yaml"), CALLS_ROUTE).expect("a file");
    fs::write(home.path().join("grpc.yaml"), CALLS.replace("senders: 1", "via: direct")).expect("a file");
    let output = home.good("run ./grpc.yaml --only unretried -o json");
    let document: Value = serde_json::from_str(&output).expect("one document");
    assert_eq!(document["expectations"][0]["verdict"], "met", "{document}");
    let events = events(&home);
    let ended = of_type(&events, "step-ended");
    let totals = &ended[0]["totals"];
    assert_eq!(totals["results"], serde_json::json!({"gRPC 14 UNAVAILABLE": 12}), "{totals}");
    assert_eq!(totals["services"][0]["received"], 12, "{totals}");
}
