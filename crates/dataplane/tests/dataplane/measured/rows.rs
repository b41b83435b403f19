//! The table of rows is complete, and each test that it names exists.

use std::collections::BTreeMap;
use std::path::Path;

use crate::rules::sources;

const TABLE: &str = include_str!("../../../../../docs/dataplane-rows.md");

/// The measured rows.
const ROWS: [&str; 93] = [
    "a01",
    "a02",
    "a08",
    "a03",
    "a04",
    "a05",
    "a06",
    "a07",
    "a09",
    "a10",
    "a11",
    "a12",
    "a14",
    "a14b",
    "a14c",
    "a17",
    "a15",
    "y3",
    "b01",
    "b03",
    "b04",
    "b05",
    "b06",
    "w3",
    "w4",
    "v1",
    "c00",
    "c01",
    "c03",
    "c04",
    "c06",
    "c07-100",
    "c07-65536",
    "c07-65537",
    "c07-102400",
    "c07-chunked-100",
    "c07-chunked-102400",
    "c08-503",
    "c08-500-502",
    "c08-gateway-error",
    "c08-5xx",
    "c08-503,500-501",
    "c08-429",
    "c08-bogus",
    "c09",
    "c10",
    "c11",
    "c12",
    "c13",
    "c15",
    "z8",
    "z5",
    "z6",
    "w1",
    "w2",
    "d01",
    "d02",
    "d03",
    "d05",
    "d06",
    "e01",
    "e02",
    "e04",
    "e05-cluster-authenticated",
    "e05-all-authenticated",
    "e05-deny",
    "e05-cluster-unauthenticated",
    "e05-all-unauthenticated",
    "f01",
    "f02",
    "f03",
    "f04",
    "f05",
    "f08",
    "f06",
    "f07",
    "g00",
    "g01",
    "g02",
    "h00",
    "h01",
    "h02",
    "h04",
    "h05",
    "i01",
    "i06",
    "i04",
    "i07",
    "y1",
    "y2",
    "z1",
    "z2",
    "z4",
];

#[test]
fn each_measured_row_has_its_kind_and_its_test() {
    let mut code = String::new();
    for folder in ["dataplane", "../src", "../../embedded/src", "../../embedded/tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut code);
    }
    let without_this_file = code.replace(include_str!("rows.rs"), "");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = Vec::new();
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("| row |")).skip(2);
    for line in lines {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, row, kind, test, remark, _] = cells[..] else { panic!("invalid line {line}") };
        found.push(row);
        *kinds.entry(kind).or_default() += 1;
        if kind == "not compared" {
            assert!(!remark.is_empty(), "{row} has no reason");
        } else {
            let tests: Vec<_> = test.split('`').map(str::trim).filter(|test| !test.is_empty()).collect();
            assert!(!tests.is_empty(), "{row} names no test");
            for test in tests {
                assert!(code.contains(&format!("fn {test}(")), "{row} names no test: {test}");
            }
        }
        // Rows of one test that differ in a number or a name of it are put together there.
        let named = ["c07-chunked-", "c07-"].iter().find(|start| row.starts_with(**start)).unwrap_or(&row);
        if kind == "exact" {
            assert!(
                without_this_file.contains(&format!("\"{named}")),
                "no test compares the label keys of {row}"
            );
        }
    }
    assert_eq!(found, ROWS, "the rows of the table");
    eprintln!("{kinds:?}");
    let of = |kind| kinds.get(kind).copied().unwrap_or_default();
    let known = ["exact", "binomial", "mechanism", "not compared"].map(of);
    assert_eq!(kinds.values().sum::<usize>(), known.iter().sum(), "an unknown kind: {kinds:?}");
    let counts = known.map(|count| count.to_string());
    let counts = format!(
        "{} exact, {} binomial, {} mechanism, {} not compared",
        counts[0], counts[1], counts[2], counts[3]
    );
    assert!(TABLE.contains(&counts), "the page does not say {counts}");
    assert!(of("exact") >= 35, "{kinds:?}");
    assert!(of("not compared") * 10 <= ROWS.len(), "{kinds:?}");
}
