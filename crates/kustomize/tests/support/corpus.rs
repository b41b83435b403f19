//! The trees under `tests/trees`, each with the verdict of kustomize 5.8.1 on it.

#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::path::{Path, PathBuf};

use meshy_kustomize::{Disk, Error, Output, build};

/// A tree and its recorded verdict.
pub(crate) struct Tree {
    /// The folder's name, which describes the tree.
    pub(crate) name: String,
    /// The path of the folder.
    pub(crate) root: PathBuf,
}

impl Tree {
    /// Returns the folder that is built: `app` where the tree has one.
    pub(crate) fn start(&self) -> PathBuf {
        let app = self.root.join("app");
        if app.is_dir() { app } else { self.root.clone() }
    }

    /// What kustomize printed, if it built the tree.
    pub(crate) fn printed(&self) -> Option<String> {
        std::fs::read_to_string(self.root.join("expected.yaml")).ok()
    }

    pub(crate) fn build(&self) -> Result<Output, Error> {
        build(&Disk, &self.start())
    }
}

/// Returns all trees.
pub(crate) fn trees() -> Vec<Tree> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    let mut trees: Vec<Tree> = std::fs::read_dir(&root)
        .expect("the trees are there")
        .map(|entry| entry.expect("a tree").path())
        .map(|root| Tree { name: root.file_name().unwrap().to_string_lossy().into_owned(), root })
        .collect();
    trees.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(trees.len() >= 200, "only {} trees: some are lost", trees.len());
    trees
}

/// An error with its causes, a line each, without the machine's paths.
pub(crate) fn shown(error: &Error, root: &Path) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(layer) = cause {
        text.push_str(&layer.to_string());
        text.push('\n');
        cause = layer.source();
    }
    let root = root.canonicalize().expect("the tree is there");
    text.replace(&root.display().to_string(), "TREE")
}

/// Collects what differs in many cases and fails once.
#[derive(Default)]
pub(crate) struct Verdicts(Vec<String>);

impl Verdicts {
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    pub(crate) fn finish(self) {
        assert!(self.0.is_empty(), "{} differ:\n{}", self.0.len(), self.0.join("\n"));
    }
}
