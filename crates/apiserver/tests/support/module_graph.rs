//! The import graph of the modules of a crate, read from its source text.
//!
//! Each folder is one module. For every module, the graph contains the imports between its child modules. An import of an
//! item that the parent re-exports counts as an import of the child module that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module path: `["http", "watch"]` for `crate::http::watch`, empty for the crate root.
type ModulePath = Vec<String>;

/// The imports between sibling modules, by the path of their parent (`http`, empty for the crate root).
pub(crate) struct ModuleGraph {
    edges: BTreeMap<String, BTreeSet<(String, String)>>,
    root_items: Vec<String>,
}

impl ModuleGraph {
    /// Reads the graph of a `src` folder.
    pub(crate) fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        read_folder(src, &[], &mut files);
        let modules: BTreeSet<ModulePath> =
            files.keys().flat_map(|path| (0..=path.len()).map(|end| path[..end].to_vec())).collect();
        let reexports: BTreeMap<ModulePath, BTreeMap<String, ModulePath>> =
            files.iter().map(|(path, text)| (path.clone(), local_imports(text, path, &modules))).collect();
        let mut graph = Self { edges: BTreeMap::new(), root_items: Vec::new() };
        for (source, text) in &files {
            for target in imports(text, source) {
                graph.add(source, &target, &modules, &reexports);
            }
        }
        graph
    }

    /// Returns the imports between the child modules of a module.
    pub(crate) fn edges(&self, parent: &str) -> impl Iterator<Item = (&str, &str)> {
        let edges = self.edges.get(parent).into_iter().flatten();
        edges.map(|(source, target)| (source.as_str(), target.as_str()))
    }

    /// Returns the modules that import items which the crate root re-exports.
    pub(crate) fn root_items(&self) -> Vec<String> {
        self.root_items.clone()
    }

    /// Returns a line for each module whose child modules have import cycles: the module and the children in cycles.
    pub(crate) fn cycles(&self) -> Vec<String> {
        let mut found = Vec::new();
        for parent in self.edges.keys() {
            let cyclic: Vec<&str> = self
                .edges(parent)
                .map(|(source, _)| source)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .filter(|module| self.reachable(parent, module).contains(module))
                .collect();
            if !cyclic.is_empty() {
                let separator = if parent.is_empty() { "" } else { "::" };
                found.push(format!("crate{separator}{parent}: {}", cyclic.join(" ")));
            }
        }
        found
    }

    fn reachable<'a>(&'a self, parent: &str, start: &'a str) -> BTreeSet<&'a str> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            for (_, target) in self.edges(parent).filter(|(source, _)| *source == module) {
                if reached.insert(target) {
                    open.push(target);
                }
            }
        }
        reached
    }

    fn add(
        &mut self,
        source: &ModulePath,
        target: &ModulePath,
        modules: &BTreeSet<ModulePath>,
        reexports: &BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
    ) {
        // The longest prefix that is a module; the rest is an item, which the module may import from a child.
        let end = (0..=target.len()).rev().find(|end| modules.contains(&target[..*end])).unwrap_or_default();
        let module = target[..end].to_vec();
        let item = target.get(end);
        let defined_in = item.and_then(|item| reexports.get(&module)?.get(item)).unwrap_or(&module);
        if module.is_empty() && !source.is_empty() && item.is_some() {
            self.root_items.push(format!("{}: crate::{}", source.join("::"), target.join("::")));
        }
        let common = source.iter().zip(defined_in).take_while(|(left, right)| left == right).count();
        if let (Some(from), Some(to)) = (source.get(common), defined_in.get(common)) {
            self.edges.entry(source[..common].join("::")).or_default().insert((from.clone(), to.clone()));
        }
    }
}

fn read_folder(folder: &Path, parent: &[String], files: &mut BTreeMap<ModulePath, String>) {
    for entry in std::fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut module = parent.to_vec();
        if path.is_dir() {
            module.push(stem);
            read_folder(&path, &module, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            if !matches!(stem.as_str(), "lib" | "main") {
                module.push(stem);
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            files.entry(module).or_default().push_str(&without_comments(&text));
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n") + "\n"
}

/// Returns all paths in a source text that start with `crate` or `super`, as absolute paths.
fn imports(text: &str, module: &[String]) -> Vec<ModulePath> {
    let mut found = Vec::new();
    for (start, keyword) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        let before = &text[..start];
        let is_path_start = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if is_path_start {
            let base = if keyword == "crate::" { &[] } else { &module[..module.len().saturating_sub(1)] };
            paths(&text[start + keyword.len()..], base.to_vec(), &mut found);
        }
    }
    found
}

/// Parses the rest of a path or use tree (`a::{b, c::D}`) and adds its paths. Returns the unparsed text.
fn paths<'a>(text: &'a str, mut base: ModulePath, found: &mut Vec<ModulePath>) -> &'a str {
    let mut rest = text;
    loop {
        if let Some(mut group) = rest.strip_prefix('{') {
            loop {
                group = group.trim_start().trim_start_matches(',').trim_start();
                if let Some(rest) = group.strip_prefix('}') {
                    return rest;
                }
                let next = paths(group, base.clone(), found);
                if next.len() == group.len() {
                    return next;
                }
                group = next;
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        match &rest[..end] {
            "super" => {
                base.pop();
            }
            "self" | "" => {}
            name => base.push(name.to_owned()),
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(next) if next.starts_with(|c: char| c == '{' || c == '_' || c.is_alphabetic()) => {
                rest = next
            }
            _ => {
                found.push(base);
                let alias = rest
                    .strip_prefix(" as ")
                    .map(|rest| rest.trim_start_matches(|c: char| c != ',' && c != '}'));
                return alias.unwrap_or(rest);
            }
        }
    }
}

/// Returns the names that a module imports from its child modules, each with the module that defines it.
fn local_imports(
    text: &str,
    module: &[String],
    modules: &BTreeSet<ModulePath>,
) -> BTreeMap<String, ModulePath> {
    let mut found = BTreeMap::new();
    for (start, keyword) in text.match_indices("use ") {
        let mut imported = Vec::new();
        paths(&text[start + keyword.len()..], module.to_vec(), &mut imported);
        for path in imported {
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
