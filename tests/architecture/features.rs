//! `cargo run` and `cargo test` compile each library once: with the same features.

use std::collections::BTreeSet;
use std::process::Command;

/// The packages that cargo compiles along these edges, each with its version and its features.
fn packages(edges: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--workspace",
            "--prefix",
            "none",
            "--format",
            "{p} {f}",
            "--edges",
            edges,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    lines
        .lines()
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// A library with features that only tests ask for is compiled again by `cargo test`, and with it all that depends on it.
#[test]
fn tests_ask_for_no_feature_that_the_program_has_not() {
    let (program, tests) = (packages("normal,build"), packages("normal,build,dev"));
    assert!(program.len() > 250, "{} packages", program.len());
    let compiled_twice: Vec<_> = program.difference(&tests).collect();
    assert!(
        compiled_twice.is_empty(),
        "have other features in `cargo test`: add them to `shared-build` in Cargo.toml:\n{compiled_twice:#?}"
    );
}
