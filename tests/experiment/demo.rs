//! The story, short: on a separate cluster, the same each time.

use serde_json::Value;

use crate::documents::document;
use crate::home::Home;

/// Runs the demo, whose story must come true; gives the run's document and what was said.
fn text_of(home: &Home, line: &str) -> (Value, String) {
    let output = home.run(line);
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{talk}");
    let run = document("demo", &String::from_utf8(output.stdout).expect("text"));
    assert_eq!(run["verdict"]["holds"], true, "{}", run["verdict"]);
    let success = |name: &str| {
        let steps = run["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name).expect("the scene");
        step["traffic"]["success_ratio"].as_f64().expect("a ratio")
    };
    // Seeded: the service itself fails the same requests in each run.
    for scene in ["no profile", "profile off", "ingress, off"] {
        assert!((0.25..0.40).contains(&success(scene)), "{scene}: {}", success(scene));
    }
    for scene in ["profile on", "ingress, on"] {
        assert!(success(scene) > 0.95, "{scene}: {}", success(scene));
    }
    (run, talk)
}

#[test]
fn the_fast_demo_comes_true_where_clients_keep_what_they_discovered() {
    let home = Home::new();
    let (_, talk) = text_of(&home, "demo --fast --like-linkerd -o json");
    assert!(talk.contains("later switches act at once"), "{talk}");
    assert!(home.processes().is_empty(), "{:?}", home.processes());
}

#[test]
fn the_fast_demo_comes_true_and_leaves_a_run_and_no_process() {
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
    let story = std::fs::read_to_string(home.path().join("story.md")).expect("the summary");
    assert!(story.contains("The story came true"), "{story}");
    document("explain", &home.good("explain -o json"));
    document("report", &home.good("report --out demo.html -o json"));
    crate::browser::look(&home.path().join("demo.html"));
    assert!(home.processes().is_empty(), "{:?}", home.processes());
}
