//! The arrows of docs/architecture.md: which crate may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use crate::sources::{self, Source};

/// Which crates of this workspace each crate may use in its program; tests may use any.
const ARROWS: &[(&str, &[&str])] = &[
    ("minimal-service", &["meshy-load", "meshy-net"]),
    ("meshy-net", &[]),
    ("meshy-linkerd", &[]),
    ("meshy-kustomize", &[]),
    ("meshy-topology", &[]),
    ("meshy-predict", &["meshy-topology"]),
    ("meshy-graph", &["meshy-topology"]),
    ("meshy-apiserver", &["meshy-net"]),
    ("meshy-dataplane", &["meshy-net"]),
    ("dataplane-bench", &["meshy-dataplane", "meshy-net"]),
    ("dataplane-tests", &[]),
    (
        "meshy-embedded",
        &["meshy-apiserver", "meshy-dataplane", "meshy-linkerd", "meshy-net", "minimal-service"],
    ),
    ("meshy-base", &[]),
    ("meshy-experiment", &["meshy-metrics", "meshy-predict"]),
    ("meshy-page", &["meshy-experiment"]),
    ("meshy-kube", &["meshy-base"]),
    ("meshy-load", &["meshy-net"]),
    ("meshy-metrics", &["meshy-kube"]),
    ("meshy-senders", &["meshy-base", "meshy-kube", "meshy-load", "meshy-metrics"]),
    (
        "meshy-lab",
        &["meshy-base", "meshy-embedded", "meshy-kube", "meshy-kustomize", "meshy-linkerd", "meshy-topology"],
    ),
    (
        "meshy-policy",
        &[
            "meshy-base",
            "meshy-kube",
            "meshy-lab",
            "meshy-linkerd",
            "meshy-metrics",
            "meshy-predict",
            "minimal-service",
        ],
    ),
    (
        "meshy",
        &[
            "meshy-base",
            "meshy-embedded",
            "meshy-experiment",
            "meshy-graph",
            "meshy-kube",
            "meshy-lab",
            "meshy-linkerd",
            "meshy-load",
            "meshy-metrics",
            "meshy-page",
            "meshy-policy",
            "meshy-predict",
            "meshy-senders",
            "meshy-topology",
        ],
    ),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn crates_depend_only_along_the_arrows() {
    let found = dependencies();
    assert_eq!(
        found.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        ARROWS.iter().map(|(name, _)| *name).collect(),
        "the table of arrows names each crate"
    );
    let wrong = violations(&found);
    assert!(wrong.is_empty(), "against docs/architecture.md:\n{}", wrong.join("\n"));
}

#[test]
fn sources_use_only_crates_along_the_arrows() {
    let folders = folders();
    let mut found = Arrows::new();
    for source in sources::with_extension(&["rs"]) {
        // The longest folder: the root's is a prefix of each.
        let owner = folders
            .iter()
            .filter(|(folder, _)| source.path.starts_with(&format!("{folder}src/")))
            .max_by_key(|(folder, _)| folder.len());
        if let Some((_, name)) = owner {
            found.entry(name.clone()).or_default().extend(used(&source));
        }
    }
    let wrong = violations(&found);
    assert!(wrong.is_empty(), "against docs/architecture.md:\n{}", wrong.join("\n"));
}

#[test]
fn clap_and_the_terminal_are_in_the_binary_only() {
    for name in ["clap", "console", "indicatif"] {
        let mut users = BTreeSet::new();
        for package in metadata()["packages"].as_array().expect("packages") {
            let normal = package["dependencies"].as_array().expect("dependencies").iter();
            if normal.filter(|d| d["kind"] != "dev").any(|d| d["name"] == name) {
                users.insert(package["name"].as_str().expect("a name").to_owned());
            }
        }
        assert_eq!(users, BTreeSet::from(["meshy".to_owned()]), "crates that use {name}");
    }
}

#[test]
fn the_terminal_is_used_in_ui_only() {
    let sources = sources::with_extension(&["rs"]);
    let wrong = terminal_outside_ui(&sources);
    assert!(wrong.is_empty(), "against docs/architecture.md, console or indicatif outside ui: {wrong:?}");
    let users =
        sources.iter().filter(|source| source.path.starts_with("src/ui") && has_terminal(source)).count();
    assert!(users >= 3, "only {users} files of ui use the terminal: the pattern is wrong");
}

#[test]
fn a_planted_use_of_the_terminal_is_found() {
    let planted = Source::planted;
    let sources = [
        planted("src/view.rs", "use console::Term;\n"),
        planted("src/run.rs", "fn f() { indicatif::ProgressBar::new(1); }\n"),
        planted("src/ui/bar.rs", "use indicatif::ProgressBar;\n"),
        planted("src/plain.rs", "// the console prints it\n"),
    ];
    assert_eq!(terminal_outside_ui(&sources), ["src/view.rs", "src/run.rs"]);
}

/// The files of the binary outside `ui` that use the crates of the terminal.
fn terminal_outside_ui(sources: &[Source]) -> Vec<&str> {
    let outside = sources.iter().filter(|source| {
        source.path.starts_with("src/") && !source.path.starts_with("src/ui/") && source.path != "src/ui.rs"
    });
    outside.filter(|source| has_terminal(source)).map(|source| source.path.as_str()).collect()
}

fn has_terminal(source: &Source) -> bool {
    Regex::new(r"\b(console|indicatif)::").expect("a pattern").is_match(&source.text)
}

#[test]
fn a_planted_arrow_is_found() {
    let planted = Source {
        path: "crates/apiserver/src/lib.rs".to_owned(),
        text: "use meshy_linkerd::names;\n".to_owned(),
    };
    let found = Arrows::from([("meshy-apiserver".to_owned(), used(&planted))]);
    assert_eq!(violations(&found), ["meshy-apiserver → meshy-linkerd"]);
}

#[test]
fn an_arrow_is_found_after_the_declaration_of_a_file_of_tests() {
    let used = |path: &str, text: &str| used(&Source::planted(path, text));
    let declared = "#[cfg(test)]\nmod tests;\n\nuse meshy_linkerd::names;\n";
    assert_eq!(used("crates/apiserver/src/serve.rs", declared), BTreeSet::from(["meshy-linkerd".to_owned()]));
    let in_tests = "#[cfg(test)]\nmod tests {\n    use meshy_linkerd::names;\n}\n";
    assert_eq!(used("crates/apiserver/src/serve.rs", in_tests), BTreeSet::new());
}

fn violations(found: &Arrows) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (from, targets) in found {
        for to in targets.iter().filter(|to| *to != from) {
            if !allowed.get(from.as_str()).is_some_and(|allowed| allowed.contains(&to.as_str())) {
                wrong.push(format!("{from} → {to}"));
            }
        }
    }
    wrong
}

/// The crates of this workspace that a source names outside its tests.
fn used(source: &Source) -> BTreeSet<String> {
    let name = Regex::new(r"\b(meshy_[a-z]+|minimal_service)::").expect("a pattern");
    let text = sources::program(source);
    name.captures_iter(&text).map(|found| found[1].replace('_', "-")).filter(|name| is_member(name)).collect()
}

fn is_member(name: &str) -> bool {
    ARROWS.iter().any(|(member, _)| *member == name)
}

/// The workspace's crates and their normal and build dependencies inside the workspace, as cargo reads them.
fn dependencies() -> Arrows {
    let mut found = Arrows::new();
    for package in metadata()["packages"].as_array().expect("packages") {
        let normal = package["dependencies"].as_array().expect("dependencies").iter();
        let normal = normal.filter(|d| d["kind"] != "dev").filter_map(|d| d["name"].as_str());
        let name = package["name"].as_str().expect("a name").to_owned();
        found.insert(name, normal.filter(|name| is_member(name)).map(str::to_owned).collect());
    }
    found
}

/// Each crate's folder below the project's, with a `/` at its end, and its name.
fn folders() -> Vec<(String, String)> {
    let root = sources::root().display().to_string();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let folder = |package: &Value| {
        let manifest = package["manifest_path"].as_str()?.strip_prefix(&root)?;
        Some((
            manifest.strip_suffix("Cargo.toml")?.trim_start_matches('/').to_owned(),
            package["name"].as_str()?.to_owned(),
        ))
    };
    packages.iter().map(|package| folder(package).expect("a path below the project")).collect()
}

fn metadata() -> Value {
    let run = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(sources::root())
        .output()
        .expect("cargo runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).expect("cargo metadata prints JSON")
}
