//! The scenario `storm` in its short form, on real proxies: the classes are those that the simulation predicts. The chain is
//! smaller than that of the storm that ships, so that the classes are the same while other programs need the processor.
#![cfg(target_os = "linux")]

#[path = "support/home.rs"]
mod home;

use home::Home;
use serde_json::Value;

#[test]
fn retries_on_each_edge_sustain_the_overload_and_a_retry_budget_ends_it() {
    let home = Home::new();
    let output = home.run("run storm --fast -o json");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let verdict = |condition: &str| {
        let all = document["expectations"].as_array().expect("a list");
        let found =
            all.iter().find(|one| one["condition"].as_str().is_some_and(|text| text.contains(condition)));
        found.unwrap_or_else(|| panic!("no expectation on {condition}: {document}"))["verdict"].clone()
    };
    // Only the classes are compared: crates/predict simulates this form 300 times.
    assert_eq!(verdict("retries-everywhere/storm.class"), "met", "{document}");
    assert_eq!(verdict("budget/storm.class"), "met", "{document}");
}
