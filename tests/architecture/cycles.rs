//! No import cycle between sibling modules of a crate, read from the paths that the sources name.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::sources::{self, Source};

/// A module's path below its crate: `["http", "change"]`.
type Module = Vec<String>;
/// For a parent module, which of its children use which.
type Siblings = BTreeMap<Module, BTreeMap<String, BTreeSet<String>>>;

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
    assert!(wrong.is_empty(), "modules in a circle: {wrong:#?}");
}

#[test]
fn a_planted_cycle_is_found() {
    let source = Source::planted;
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

#[test]
fn a_cycle_is_found_after_the_declaration_of_a_file_of_tests() {
    let source = Source::planted;
    let planted = [
        source("x/src/lib.rs", "mod a;\nmod b;\n"),
        source("x/src/a.rs", "#[cfg(test)]\nmod tests;\n\nuse crate::b::B;\n"),
        source("x/src/b.rs", "use crate::a::A;\n"),
    ];
    assert_eq!(circles(&siblings("x/", &planted)), ["a, b"]);
    let in_tests = source("x/src/b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n");
    let [parent, a, _] = planted;
    assert_eq!(circles(&siblings("x/", &[parent, a, in_tests])), Vec::<String>::new());
}

#[test]
fn a_cycle_through_an_item_that_the_parent_imports_is_found() {
    let source = Source::planted;
    let planted = [
        source("x/src/http.rs", "mod a;\nmod b;\npub use a::{Item, inner::Other};\n"),
        source("x/src/http/a.rs", "use super::b::f;\n"),
        source("x/src/http/b.rs", "use super::{Item, Unrelated};\n"),
    ];
    assert_eq!(circles(&siblings("x/", &planted)), ["a, b"]);
    let own = source("x/src/http/b.rs", "use super::Unrelated; // use super::Item\n");
    let [parent, a, _] = planted;
    assert_eq!(circles(&siblings("x/", &[parent, a, own])), Vec::<String>::new());
}

/// For each module, the modules that define the items which it imports from modules below it, by the name of the item.
type Reexports = BTreeMap<Module, BTreeMap<String, Module>>;

/// Returns which siblings use which, for each parent module of a crate. An item that a module re-exports counts as an
/// item of the module that defines it.
fn siblings(folder: &str, sources: &[Source]) -> Siblings {
    let modules: BTreeSet<Module> = sources.iter().map(|source| module(folder, &source.path)).collect();
    let imports = |source: &Source| {
        let from = module(folder, &source.path);
        let found = local_imports(&from, &sources::program(source), &modules);
        (from, found)
    };
    let reexports: Reexports = sources.iter().map(imports).collect();
    let mut found = Siblings::new();
    for source in sources {
        let from = module(folder, &source.path);
        for path in used(&from, &sources::program(source)) {
            let to = defined_in(&path, &modules, &reexports);
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

/// Returns the module that defines the item of a path: the deepest module in the path, or the module below it from which
/// it imports the item.
fn defined_in(path: &Module, modules: &BTreeSet<Module>, reexports: &Reexports) -> Module {
    let end = (0..=path.len()).rev().find(|end| modules.contains(&path[..*end])).unwrap_or_default();
    let module = path[..end].to_vec();
    let item = path.get(end).and_then(|item| reexports.get(&module)?.get(item));
    item.cloned().unwrap_or(module)
}

/// Returns the items that a module imports from modules below it (`use child::Item`), each with the module that defines
/// it.
fn local_imports(module: &Module, text: &str, modules: &BTreeSet<Module>) -> BTreeMap<String, Module> {
    let statement =
        Regex::new(r"(?m)^\s*(?:pub(?:\([a-z]+\))? )?use (?:self::)?([^;]+);").expect("a pattern");
    let mut found = BTreeMap::new();
    for statement in statement.captures_iter(text) {
        let mut paths = Vec::new();
        tree(&statement[1], module.clone(), &mut paths);
        for path in paths {
            let (Some(name), parent) = (path.last().cloned(), &path[..path.len().saturating_sub(1)]) else {
                continue;
            };
            if parent.len() > module.len() && modules.contains(parent) {
                found.insert(name, parent.to_vec());
            }
        }
    }
    found
}

/// Adds the paths of a use tree (`a::{b, c::D}`) below a module to `found`.
fn tree(text: &str, base: Module, found: &mut Vec<Module>) {
    let text = text.trim();
    if let Some((head, group)) = text.split_once('{') {
        let base: Module = base.into_iter().chain(segments(head)).collect();
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        let mut depth = 0;
        let parts = group.split(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            letter == ',' && depth == 0
        });
        parts.filter(|part| !part.trim().is_empty()).for_each(|part| tree(part, base.clone(), found));
    } else {
        let path = text.split(" as ").next().unwrap_or_default();
        found.push(base.into_iter().chain(segments(path)).collect());
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self").map(str::to_owned)
}

/// The paths that a text names by `crate::`, `super::` or `self::`, with their items.
fn used(from: &Module, text: &str) -> Vec<Module> {
    let path = Regex::new(r"\b(crate|super|self)((?:::[A-Za-z_][A-Za-z0-9_]*)*)(?:::\{([^;]*?)\})?")
        .expect("a pattern");
    let first =
        Regex::new(r"(?:^|[,{]\s*)([A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)").expect("a pattern");
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
            found.push(base.iter().cloned().chain(tail).collect());
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
