//! Promises of docs/architecture.md that the compiler does not hold: read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A lab that is made without a known provider names one; that is not a branch.
fn only_names_it(line: &str) -> bool {
    line.contains("Record::new(")
        || line.contains("ProviderChoice::")
        || line.contains("cluster::word(Provider::")
}

#[test]
fn nothing_outside_cluster_asks_which_provider_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let src = root.join("crates/lab/src");
    let mut all = Vec::new();
    sources(&root.join("src"), &mut all);
    sources(&src, &mut all);
    assert!(all.len() > 100, "only {} files were read", all.len());
    // The lab's record has a state for each provider: these files define it, and how it is stored.
    let states = [src.join("lab/cluster_state.rs"), src.join("lab/stored.rs")];
    let own = |path: &PathBuf| {
        path.starts_with(src.join("cluster")) || *path == src.join("cluster.rs") || states.contains(path)
    };
    let mut found = Vec::new();
    for path in all.iter().filter(|path| !own(path)) {
        let text = fs::read_to_string(path).expect("a source");
        // The tests at a file's end make records of any kind.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let asks = [
                "Provider::Embedded",
                "Provider::Kind",
                "Provider::Existing",
                "provider == \"",
                "\"embedded\" =>",
            ];
            if asks.iter().any(|word| line.contains(word)) && !only_names_it(line) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "ask `cluster::Provider` instead:\n{}", found.join("\n"));
}
