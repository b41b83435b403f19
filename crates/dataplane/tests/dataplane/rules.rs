//! The list of rules and the tests that hold them.

use std::fs;
use std::path::Path;

const RULES: &str = include_str!("../../../../docs/dataplane-rules.md");

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_rule_names_a_test_that_exists_or_stands_among_what_differs() {
    let mut code = String::new();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests", "../embedded/src", "../embedded/tests"] {
        sources(&crate_folder.join(folder), &mut code);
    }
    let (rules, differs) = RULES.split_once("## What differs").expect("the list and what differs");
    let mut numbers = 0;
    for line in rules.lines() {
        let Some((number, rule)) = line.split_once(". ").filter(|(n, _)| n.parse::<u32>().is_ok()) else {
            continue;
        };
        numbers += 1;
        assert_eq!(number, numbers.to_string(), "numbers follow each other");
        let tests: Vec<_> =
            rule.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2).collect();
        let named = tests.iter().all(|name| code.contains(&format!("fn {name}(")));
        let differing = rule.ends_with("(differs)") && differs.contains(&format!("({number})"));
        assert!((named && !tests.is_empty()) || differing, "rule {number} has no test: {tests:?}");
    }
    assert!(numbers > 50, "{numbers} rules");
}
