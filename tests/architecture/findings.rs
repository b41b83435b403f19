//! docs/findings.md: every finding of the reviews has a row, and every test that a row names is there.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::sources;

/// How many findings each review has.
const REVIEWS: [(&str, usize); 6] = [("S-D", 20), ("P-", 11), ("L-D", 13), ("G", 2), ("B", 5), ("U-D", 41)];

/// How many findings may have no test.
const MOST_WITHOUT: usize = 5;

/// The rows of the page by their finding: each row's cells.
fn rows(page: &str) -> BTreeMap<String, Vec<String>> {
    let id = Regex::new(r"^(?:S-D|P-|L-D|B|U-D|G)\d+$").expect("a pattern");
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = page.lines().filter(|line| line.starts_with("| ")).map(cells);
    rows.filter(|cells| id.is_match(&cells[0])).map(|cells| (cells[0].clone(), cells)).collect()
}

/// The tests that a text names as `FILE::TEST`.
fn named(text: &str) -> Vec<(String, String)> {
    let test = Regex::new(r"`([\w./-]+\.rs)::(\w+)`").expect("a pattern");
    test.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

/// Whether a source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let before = |at: usize| source[..at].rsplit_once("\n\n").map_or(&source[..at], |(_, item)| item);
    source.match_indices(&format!("fn {name}(")).any(|(at, _)| before(at).contains("test"))
}

#[test]
fn every_finding_has_a_row_and_at_most_five_have_no_test() {
    let page = page();
    let rows = rows(&page);
    let mut missing = Vec::new();
    for (review, count) in REVIEWS {
        missing.extend((1..=count).map(|n| format!("{review}{n}")).filter(|id| !rows.contains_key(id)));
    }
    assert!(missing.is_empty(), "docs/findings.md has no row for {missing:?}");
    let without: Vec<&String> =
        rows.iter().filter(|(_, cells)| named(&cells[2]).is_empty()).map(|(id, _)| id).collect();
    assert!(without.len() <= MOST_WITHOUT, "{} findings have no test: {without:?}", without.len());
    for (id, cells) in &rows {
        assert!(
            cells.len() == 4 && cells.iter().all(|cell| cell.len() > 1),
            "{id}: a row has four cells: {cells:?}"
        );
        let reason = cells[2].starts_with("none: ");
        assert!(reason || !named(&cells[2]).is_empty(), "{id}: no test and no reason: {}", cells[2]);
    }
}

#[test]
fn every_test_that_the_page_of_findings_names_is_there() {
    let sources: BTreeMap<String, String> =
        sources::with_extension(&["rs"]).into_iter().map(|source| (source.path, source.text)).collect();
    let tests: BTreeSet<(String, String)> = named(&page()).into_iter().collect();
    assert!(tests.len() > 80, "only {} tests are named", tests.len());
    let absent: Vec<String> = tests
        .iter()
        .filter(|(file, name)| !sources.get(file).is_some_and(|source| has_test(source, name)))
        .map(|(file, name)| format!("{file}::{name}"))
        .collect();
    assert!(absent.is_empty(), "docs/findings.md names tests that are not there: {absent:#?}");
}

#[test]
fn a_planted_name_is_not_found() {
    let source = "#[test]\nfn there() {}\n\nfn helper() {}\n";
    assert!(has_test(source, "there"));
    assert!(!has_test(source, "helper") && !has_test(source, "absent"));
    assert_eq!(named("`a/b.rs::c`, `d.rs`"), [("a/b.rs".to_owned(), "c".to_owned())]);
    assert_eq!(rows("| S-D1 | a | `b.rs::c` | d |\n| other | x | y | z |").len(), 1);
}

fn page() -> String {
    let file = sources::root().join("docs/findings.md");
    std::fs::read_to_string(file).expect("the page is in the repository")
}
