//! Promises of docs/architecture.md that the compiler does not hold: read from the sources.

use crate::sources::{self, Source};

/// The files that distinguish providers: `cluster`, and the definition of the lab's record, which has a state for each provider.
const OWN: [&str; 4] = [
    "crates/lab/src/cluster/",
    "crates/lab/src/cluster.rs",
    "crates/lab/src/lab/cluster_state.rs",
    "crates/lab/src/lab/stored.rs",
];

/// What a line contains that distinguishes providers.
const BRANCHES: [&str; 5] =
    ["Provider::Embedded", "Provider::Kind", "Provider::Existing", "provider == \"", "\"embedded\" =>"];

/// A lab that is made without a known provider names one; that is not a branch.
fn only_names_it(line: &str) -> bool {
    line.contains("Record::new(")
        || line.contains("ProviderChoice::")
        || line.contains("cluster::word(Provider::")
}

#[test]
fn nothing_outside_cluster_asks_which_provider_it_is() {
    let sources = sources::with_extension(&["rs"]);
    let is_read = |path: &str| path.starts_with("src/") || path.starts_with("crates/lab/src/");
    let read: Vec<&Source> = sources.iter().filter(|source| is_read(&source.path)).collect();
    assert!(read.len() > 100, "only {} files were read", read.len());
    let found: Vec<String> = read.into_iter().flat_map(branches).collect();
    assert!(found.is_empty(), "ask `cluster::Provider` instead:\n{}", found.join("\n"));
}

#[test]
fn a_planted_branch_is_found() {
    let found = |path: &str, text: &str| branches(&Source::planted(path, text));
    let branch = "if provider == Provider::Kind {\n";
    assert_eq!(found("src/a.rs", branch), ["src/a.rs:1: if provider == Provider::Kind {"]);
    let declared = format!("#[cfg(test)]\nmod tests;\n{branch}");
    assert_eq!(found("src/a.rs", &declared), ["src/a.rs:3: if provider == Provider::Kind {"]);
    assert_eq!(found("src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{branch}")), [""; 0]);
    assert_eq!(found("crates/lab/src/cluster/kind.rs", branch), [""; 0]);
    assert_eq!(found("src/a.rs", "Record::new(Provider::Kind)\n"), [""; 0]);
}

/// The lines of a program outside `cluster` that distinguish providers.
fn branches(source: &Source) -> Vec<String> {
    if OWN.iter().any(|own| source.path.starts_with(own)) {
        return Vec::new();
    }
    let program = sources::program(source);
    let lines = program.lines().enumerate();
    lines
        .filter(|(_, line)| BRANCHES.iter().any(|branch| line.contains(branch)) && !only_names_it(line))
        .map(|(number, line)| format!("{}:{}: {}", source.path, number + 1, line.trim()))
        .collect()
}
