//! The modules of the crate import each other without cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The modules that each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn modules_do_not_import_each_other_in_a_cycle() {
    let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(imports["server"].contains("service"), "the imports are read: {imports:?}");
    let cycle = in_cycles(imports);
    assert!(cycle.is_empty(), "modules in a cycle, or between two cycles: {cycle:?}");
}

#[test]
fn a_planted_cycle_is_found() {
    let imports =
        [("a", "use crate::b;"), ("b", "use crate::{c::{self, C}, d};"), ("c", "fn f() { crate::a::g() }")];
    let modules = ["a", "b", "c", "d"].map(str::to_owned);
    let imports = imports.map(|(name, text)| (name.to_owned(), imported(text, &modules)));
    let cycle = in_cycles(imports.into());
    assert_eq!(cycle.into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
}

fn imports(src: &Path) -> Imports {
    let lib = std::fs::read_to_string(src.join("lib.rs")).unwrap();
    let modules: Vec<_> = lib
        .lines()
        .filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    let text = |name: &String| std::fs::read_to_string(src.join(format!("{name}.rs"))).unwrap();
    modules.iter().map(|name| (name.clone(), imported(&text(name), &modules))).collect()
}

/// Returns the modules that follow `crate::` in a source text, alone or in braces.
fn imported(text: &str, modules: &[String]) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for path in text.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                found.extend(group.split([',', '{', '}']).map(|part| word(part.trim())));
            }
            None => drop(found.insert(word(path))),
        }
    }
    found.retain(|name| modules.contains(name));
    found
}

/// Removes modules that import nothing that is left, or that nothing left imports, until only cycles remain.
fn in_cycles(mut imports: Imports) -> Imports {
    loop {
        let names: BTreeSet<String> = imports.keys().cloned().collect();
        let used: BTreeSet<String> = imports.values().flatten().cloned().collect();
        imports.retain(|name, _| used.contains(name));
        imports.retain(|_, imported| imported.iter().any(|name| names.contains(name)));
        if imports.len() == names.len() {
            return imports;
        }
    }
}
