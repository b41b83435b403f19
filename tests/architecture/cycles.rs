//! No import cycle between sibling modules of a crate, read from the paths that the sources name.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::sources::{self, Source};

/// A module's path below its crate: `["http", "change"]`.
type Module = Vec<String>;
/// For a parent module, which of its children use which.
type Siblings = BTreeMap<Module, BTreeMap<String, BTreeSet<String>>>;

/// The circles that are still to be cut.
const KNOWN: [&str; 0] = [];

#[test]
fn modules_do_not_use_each_other_in_a_circle() {
    let mut crates: BTreeMap<String, Vec<Source>> = BTreeMap::new();
    for source in sources::with_extension(&["rs"]) {
        let Some((folder, _)) = source.path.split_once("src/") else { continue };
        crates.entry(folder.to_owned()).or_default().push(source);
    }
    assert!(crates.len() >= 8, "only {} crates were read", crates.len());
    let mut wrong = Vec::new();
    for (folder, sources) in &crates {
        for circle in circles(&siblings(folder, sources)) {
            wrong.push(format!("{folder}src: {circle}"));
        }
    }
    wrong.sort();
    assert_eq!(wrong, KNOWN, "modules in a circle; take those from the list that are cut");
}

#[test]
fn a_planted_cycle_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let planted = [
        source("x/src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
        source("x/src/a.rs", "use crate::b::inner::B;\n"),
        source("x/src/b.rs", "pub mod inner;\n"),
        source("x/src/b/inner.rs", "use super::super::c;\n"),
        source("x/src/c.rs", "fn f() {\n    crate::a::g();\n}\n"),
    ];
    assert_eq!(circles(&siblings("x/", &planted)), ["a, b, c"]);
    assert_eq!(circles(&siblings("x/", &planted[..4])), Vec::<String>::new());
}

/// Returns which siblings use which, for each parent module of a crate.
fn siblings(folder: &str, sources: &[Source]) -> Siblings {
    let modules: BTreeSet<Module> = sources.iter().map(|source| module(folder, &source.path)).collect();
    let mut found = Siblings::new();
    for source in sources {
        let from = module(folder, &source.path);
        for to in used(&from, program(source), &modules) {
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let (Some(a), Some(b)) = (from.get(common), to.get(common)) else { continue };
            let children = found.entry(from[..common].to_vec()).or_default();
            children.entry(a.clone()).or_default().insert(b.clone());
        }
    }
    found
}

/// The module of a file: `src/http/change.rs` is `["http", "change"]`, `src/lib.rs` the root.
fn module(folder: &str, path: &str) -> Module {
    let path = path.trim_start_matches(folder).trim_start_matches("src/").trim_end_matches(".rs");
    let root = matches!(path, "lib" | "main");
    if root {
        Module::new()
    } else {
        path.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
    }
}

/// A file's text without its tests, which may use anything.
fn program(source: &Source) -> &str {
    if source.path.ends_with("tests.rs") || source.path.contains("/tests/") {
        return "";
    }
    source.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

/// The modules that a text names by `crate::` or `super::`, each as the deepest module that is there.
fn used(from: &Module, text: &str, modules: &BTreeSet<Module>) -> Vec<Module> {
    let path =
        Regex::new(r"\b(crate|super|self)((?:::[a-z_][a-z0-9_]*)*)(?:::\{([^;]*?)\})?").expect("a pattern");
    let first = Regex::new(r"(?:^|[,{]\s*)([a-z_][a-z0-9_]*(?:::[a-z_][a-z0-9_]*)*)").expect("a pattern");
    let comment = Regex::new(r"(?m)//.*$").expect("a pattern");
    let text = comment.replace_all(text, "");
    let mut found = Vec::new();
    for path in path.captures_iter(&text) {
        let mut base: Vec<String> = match &path[1] {
            "crate" => Vec::new(),
            "super" => from[..from.len().saturating_sub(1)].to_vec(),
            _ => from.clone(),
        };
        for part in path[2].split("::").filter(|part| !part.is_empty()) {
            if part == "super" {
                base.pop();
            } else {
                base.push(part.to_owned());
            }
        }
        let group = path.get(3).map_or("", |group| group.as_str());
        let inner = first.captures_iter(group).map(|part| part[1].split("::").map(str::to_owned).collect());
        for tail in inner.chain([Vec::new()]) {
            let mut whole: Module = base.iter().cloned().chain(tail).collect();
            while !whole.is_empty() && !modules.contains(&whole) {
                whole.pop();
            }
            found.push(whole);
        }
    }
    found
}

/// The circles among siblings, each as a sorted list.
fn circles(siblings: &Siblings) -> Vec<String> {
    let mut found = BTreeSet::new();
    for children in siblings.values() {
        for start in children.keys() {
            let circle: Vec<&str> = children
                .keys()
                .filter(|other| reaches(children, start, other) && reaches(children, other, start))
                .map(String::as_str)
                .collect();
            if !circle.is_empty() && (circle.len() > 1) {
                found.insert(circle.join(", "));
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a chain of uses leads from one sibling to another.
fn reaches(children: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(next) = open.pop() {
        for target in children.get(next).into_iter().flatten() {
            if target == to {
                return true;
            }
            if seen.insert(target.as_str()) {
                open.push(target);
            }
        }
    }
    false
}
