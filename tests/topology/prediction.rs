//! `meshy predict --topology`.

use serde_json::Value;

use crate::home::Home;

fn json(home: &Home, line: &str) -> Value {
    serde_json::from_str(&home.good(&format!("{line} -o json"))).expect("JSON")
}

/// A trigger that changes nothing, far below the capacity.
const CALM: &str = "predict --topology chain-4 --rate 5/s --trigger slow=1x:1s --runs 2";

#[test]
fn a_chain_without_errors_has_one_attempt_for_each_request_on_each_edge() {
    let home = Home::new();
    let document = json(&home, CALM);
    let edges = document["entries"][0]["prediction"]["edges"].as_array().expect("edges").clone();
    assert_eq!(edges.len(), 3);
    for edge in &edges {
        assert_eq!(edge["attempts_per_request"]["mean"], 1.0, "{edge}");
        assert_eq!(edge["effective_success_ratio"]["mean"], 1.0, "{edge}");
    }
    assert_eq!(document["entries"][0]["capacity_limited_by"], "stock");
    assert_eq!(document["entries"][0]["prediction"]["classes"]["recovered_count"], 2);
}

#[test]
fn retries_multiply_attempts_while_the_last_service_is_down() {
    let home = Home::new();
    let line = "predict --topology chain-4 --rate 5/s --runs 3 --trigger down=60s --duration 80s";
    let attempts = |line: &str| -> Vec<f64> {
        let document = json(&home, line);
        let edges = document["entries"][0]["prediction"]["edges"].as_array().expect("edges").clone();
        edges.iter().map(|edge| edge["amplification"]["mean"].as_f64().expect("a number")).collect()
    };
    let (without, with) = (attempts(line), attempts(&format!("{line} --retries 2")));
    assert!(without.iter().all(|attempts| (attempts - 1.0).abs() < 1e-9), "{without:?}");
    // Three quarters of the requests meet the fault: 3, 9 and 27 attempts instead of 1; fewer for the last of them, whose retries
    // find the service up again.
    for (attempts, most) in with.iter().zip([3.0, 9.0, 27.0]) {
        let expected = 0.25 + 0.75 * most;
        assert!(
            *attempts <= expected && *attempts > 0.95 * expected,
            "{with:?}: {attempts} is not near {expected}"
        );
    }
    let budget = attempts(&format!("{line} --budget 0.2 --min 1"));
    assert!(budget[2] < with[2] / 2.0, "{budget:?}");
}

#[test]
fn a_storm_has_a_class_and_a_load_above_the_capacity_a_warning() {
    let home = Home::new();
    let storm =
        "predict --topology chain-4 --rate 30/s --trigger down=8s --runs 3 --request-timeout 1s --retries 2";
    let text = home.good(storm);
    assert!(text.contains("\n  class     "), "{text}");
    assert!(text.contains("price → stock") && text.contains("trigger down=8s at stock"), "{text}");
    let output = home.run("predict --topology chain-4 --rate 60/s --duration 5s --runs 2");
    assert!(output.status.success(), "a warning only");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("above the capacity of 50.0/s") && stderr.contains("`stock`"), "{stderr}");
}

#[test]
fn a_seed_repeats_a_prediction() {
    let home = Home::new();
    let line = "predict --topology shop --rate 20/s --duration 5s --runs 2";
    assert_eq!(json(&home, &format!("{line} --seed 7")), json(&home, &format!("{line} --seed 7")));
    assert_ne!(json(&home, &format!("{line} --seed 7")), json(&home, &format!("{line} --seed 8")));
}
