//! The demo in its short form, on a separate cluster.

use serde_json::Value;

use crate::documents::document;
use crate::home::Home;

/// Runs the demo, whose expectations must be met; returns the run's document and what was said.
fn text_of(home: &Home, line: &str) -> (Value, String) {
    let output = home.run(line);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{talk}");
    let run = document("demo", &String::from_utf8(output.stdout).expect("text"));
    assert_eq!(run["verdict"]["holds"], true, "{}", run["verdict"]);
    let success = |name: &str| {
        let steps = run["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name).expect("the step");
        step["traffic"]["success_ratio"].as_f64().expect("a ratio")
    };
    // Failures come in blocks: of the first 20 of 24 requests exactly 6 succeed, of the other 4 at most 3.
    for step in ["no-retries", "retries-off", "ingress-no-retries"] {
        assert!((0.25..0.40).contains(&success(step)), "{step}: {}", success(step));
    }
    for step in ["retries", "ingress-retries"] {
        assert!(success(step) > 0.95, "{step}: {}", success(step));
    }
    (run, talk)
}

#[test]
fn the_fast_demo_meets_its_expectations_where_clients_keep_what_they_discovered() {
    let home = Home::new();
    let (_, talk) = text_of(&home, "demo --fast --like-linkerd -o json");
    assert!(talk.contains("later switches act at once"), "{talk}");
    assert!(home.processes().is_empty(), "{:?}", home.processes());
}

#[test]
fn the_fast_demo_meets_its_expectations_and_leaves_a_run_and_no_process() {
    let home = Home::new();
    let (run, talk) = text_of(&home, "demo --fast -o json --summary story.md");
    assert!(!talk.contains("later switches act at once"), "{talk}");
    for step in run["steps"].as_array().expect("steps") {
        let prediction = &step["mesh"]["prediction"]["success_ratio"];
        let measured = step["traffic"]["success_ratio"].as_f64().expect("a ratio");
        let (low, high) =
            (prediction["low"].as_f64().expect("low"), prediction["high"].as_f64().expect("high"));
        assert!((low..=high).contains(&measured), "{}: {measured} not in {low} to {high}", step["name"]);
    }
    for words in ["1 of 5", "5 of 5", "next:", "meshy report"] {
        assert!(talk.contains(words), "`{words}` is missing:\n{talk}");
    }
    let place = |words: &str| talk.find(words).unwrap_or_else(|| panic!("`{words}` is missing:\n{talk}"));
    // Nothing changes between these two, so the second one starts while requests of the first one are open.
    assert!(place("\nretries-off: ") < place("\ningress-no-retries: "), "{talk}");
    let story = std::fs::read_to_string(home.path().join("story.md")).expect("the summary");
    assert!(story.contains("expectations met"), "{story}");
    document("explain", &home.good("explain -o json"));
    document("report", &home.good("report --out demo.html -o json"));
    assert!(home.processes().is_empty(), "{:?}", home.processes());
}
