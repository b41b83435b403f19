//! Checks that the modules of this crate have no import cycles.

#[path = "support/module_graph.rs"]
mod module_graph;

use std::path::Path;

use module_graph::ModuleGraph;

fn source(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("creates the folder");
        std::fs::write(file, text).expect("writes the file");
    }
    folder
}

#[test]
fn modules_have_no_import_cycles() {
    let graph = ModuleGraph::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(
        graph.edges("").count() > 50,
        "too few imports were found: {:?}",
        graph.edges("").collect::<Vec<_>>()
    );
    assert_eq!(graph.cycles(), Vec::<String>::new());
    assert_eq!(
        graph.root_items(),
        Vec::<String>::new(),
        "import items from their module, not from the crate root"
    );
}

#[test]
fn cycle_of_top_level_modules_is_found() {
    let folder = source(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;"),
        ("a.rs", "use crate::b::{Item, Other};"),
        ("b/inner.rs", "use crate::c::Item;"),
        ("c.rs", "fn f() { crate::a::g(); }"),
    ]);
    assert_eq!(ModuleGraph::read(folder.path()).cycles(), ["crate: a b c"]);
}

#[test]
fn cycle_of_modules_in_a_folder_is_found_through_imports_of_their_parent() {
    let folder = source(&[
        ("http.rs", "mod a;\nmod b;\npub use a::Item;"),
        ("http/a.rs", "use super::b::f;"),
        ("http/b.rs", "use super::{Item, Unrelated};"),
    ]);
    assert_eq!(ModuleGraph::read(folder.path()).cycles(), ["crate::http: a b"]);
}

#[test]
fn imports_between_parent_and_child_are_no_cycle() {
    let folder = source(&[
        ("a.rs", "mod inner;\nuse inner::f;\npub struct Item;"),
        ("a/inner.rs", "use super::Item;\nuse crate::b::g; // use crate::comment::Item"),
        ("b.rs", ""),
    ]);
    let graph = ModuleGraph::read(folder.path());
    assert_eq!(graph.cycles(), Vec::<String>::new());
    assert_eq!(graph.edges("").collect::<Vec<_>>(), [("a", "b")]);
}
