//! Each rule of `docs/dataplane-rules.md` has a test.

use std::fs;
use std::path::Path;

const RULES: &str = include_str!("../../../../docs/dataplane-rules.md");

pub(crate) fn sources(folder: &Path, text: &mut String) {
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
fn every_rule_names_an_existing_test_or_is_listed_as_a_difference() {
    let mut code = String::new();
    let folder_of_tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["dataplane", "../src", "../../embedded/src", "../../embedded/tests", "../../linkerd/src"] {
        sources(&folder_of_tests.join(folder), &mut code);
    }
    let (rules, differences) = RULES.split_once("## Differences").expect("the rules and the differences");
    let (mut numbers, mut with_tests) = (0, 0);
    for line in rules.lines() {
        let Some((number, rule)) = line.split_once(". ").filter(|(n, _)| n.parse::<u32>().is_ok()) else {
            continue;
        };
        numbers += 1;
        assert_eq!(number, numbers.to_string(), "rules are numbered in order");
        let tests: Vec<_> =
            rule.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2).collect();
        let named = tests.iter().all(|name| is_test(&code, name));
        let is_difference = rule.ends_with("(differs)") && differences.contains(&format!("({number})"));
        let has_test = named && !tests.is_empty();
        with_tests += usize::from(has_test);
        assert!(has_test || is_difference, "rule {number} has no test: {tests:?}");
    }
    eprintln!("{numbers} rules, {with_tests} with tests");
    assert!(with_tests > 100, "{with_tests} rules with tests");
}

/// Whether a source defines a test of this name: a function below an attribute that makes it a test, and below no `#[ignore]`.
fn is_test(code: &str, name: &str) -> bool {
    let definition = format!("fn {name}(");
    let ends = code.match_indices(&definition).map(|(at, _)| at);
    let attributes = |end| {
        let above = code[..end].rsplit('\n').skip(1).map(str::trim);
        above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect::<Vec<_>>()
    };
    ends.map(attributes).any(|lines| {
        let starts =
            |begins: &[&str]| lines.iter().any(|line| begins.iter().any(|begin| line.starts_with(begin)));
        starts(&["#[test]", "#[tokio::test]", "#[tokio::test("]) && !starts(&["#[ignore"])
    })
}

#[test]
fn a_function_is_the_test_of_a_rule_only_with_a_test_attribute() {
    assert!(is_test("#[test]\nfn it_works() {}\n", "it_works"));
    assert!(is_test(
        "    #[tokio::test(start_paused = true)]\n    // why\n    async fn it_works() {}\n",
        "it_works"
    ));
    assert!(is_test("fn it_works() {}\n#[test]\nfn it_works() {}\n", "it_works"));
    assert!(!is_test("#[test]\nfn first() {}\n\nfn it_works() {}\n", "it_works"));
    assert!(!is_test("#[test]\n#[ignore = \"slow\"]\nfn it_works() {}\n", "it_works"));
    assert!(!is_test("#[allow(dead_code)]\nfn it_works() {}\n", "it_works"));
}
