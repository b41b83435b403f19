//! Compares each tree with the recorded output of kustomize 5.8.1.
//!
//! `expected.yaml` and `expected.error` are kustomize's own output; `MESHY_TESTBED=… cargo test --test differential`
//! shows that they still hold, with `MESHY_RECORD=1` it records them again. `verdict` is the error text of this crate.

#[path = "support/corpus.rs"]
mod corpus;

use corpus::{Tree, Verdicts, shown, trees};
use meshy_kustomize::{Memory, build};
use serde_json::Value;

#[test]
fn every_tree_prints_what_kustomize_prints() {
    let mut verdicts = Verdicts::default();
    for tree in trees() {
        let Some(printed) = tree.printed() else { continue };
        match tree.build() {
            Err(error) => verdicts.check(false, || format!("{}: {}", tree.name, shown(&error, &tree.root))),
            Ok(output) => {
                let objects: Vec<Value> = serde_yaml::from_multiple(&printed).expect("kustomize prints YAML");
                verdicts.check(output.objects == objects, || format!("{}: other objects", tree.name));
                verdicts.check(output.to_yaml() == printed, || {
                    format!("{}: other text:\n{}", tree.name, output.to_yaml())
                });
            }
        }
    }
    verdicts.finish();
}

#[test]
fn every_tree_that_kustomize_rejects_has_the_recorded_error() {
    let mut verdicts = Verdicts::default();
    for tree in trees().into_iter().filter(|tree| tree.printed().is_none()) {
        assert!(tree.root.join("expected.error").is_file(), "{} has no verdict of kustomize", tree.name);
        let text = match tree.build() {
            Ok(_) => "none".to_owned(),
            Err(error) => shown(&error, &tree.root),
        };
        let file = tree.root.join("verdict");
        if std::env::var_os("MESHY_RECORD").is_some() && text != "none" {
            std::fs::write(&file, &text).expect("the verdict can be written");
        }
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        verdicts.check(text == known, || format!("{}:\n{text}instead of\n{known}", tree.name));
    }
    verdicts.finish();
}

#[test]
fn a_tree_in_memory_builds_as_on_disk() {
    let mut verdicts = Verdicts::default();
    // Memory does not support links.
    for tree in trees().into_iter().filter(|tree| !tree.name.contains("link")) {
        let there = build(&in_memory(&tree), &tree.start());
        let here = tree.build();
        let same = match (&there, &here) {
            (Ok(there), Ok(here)) => there == here,
            (Err(there), Err(here)) => {
                shown(there, &tree.root).lines().count() == shown(here, &tree.root).lines().count()
            }
            _ => false,
        };
        verdicts.check(same, || format!("{}: {there:?} in memory", tree.name));
    }
    verdicts.finish();
}

fn in_memory(tree: &Tree) -> Memory {
    fn add(memory: &mut Memory, dir: &std::path::Path) {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(memory, &path);
            } else {
                memory.insert(path.canonicalize().unwrap(), std::fs::read(&path).expect("a file"));
            }
        }
    }
    let mut memory = Memory::new();
    add(&mut memory, &tree.root);
    memory
}
