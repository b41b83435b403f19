//! Broken trees end in an error, never in a panic or in a hang.

#[path = "support/corpus.rs"]
mod corpus;

use std::path::{Path, PathBuf};

use corpus::trees;
use meshy_kustomize::{Memory, build};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[test]
fn damaged_trees_are_built_or_refused() {
    let mut random = StdRng::seed_from_u64(8);
    for tree in trees() {
        let files = files(&tree.root);
        for _ in 0..4 {
            let mut memory = Memory::new();
            let victim = random.random_range(0..files.len());
            for (index, (path, content)) in files.iter().enumerate() {
                let mut content = content.clone();
                if index == victim && !content.is_empty() {
                    damage(&mut content, &mut random);
                }
                memory.insert(path, content);
            }
            // Both a result and an error are valid; a panic fails the test.
            let _verdict = build(&memory, &tree.start());
        }
    }
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![below; 9].join(", ")));
    }
    let mut memory = Memory::new();
    memory.insert("/kustomization.yaml", "resources: [bomb.yaml]\n");
    memory.insert("/bomb.yaml", format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{bomb}"));
    let error = build(&memory, Path::new("/")).unwrap_err();
    assert!(error.cause().to_string().starts_with("cannot parse `/bomb.yaml`"), "{error}");
}

/// Characters that mean something in YAML.
const MARKS: &[u8] = b"{}[]:-&*!|>'\"%@#,\n\t \\$~";

fn damage(content: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..content.len());
        match random.random_range(0..4) {
            0 => content[at] = MARKS[random.random_range(0..MARKS.len())],
            1 => drop(content.remove(at)),
            2 => content.truncate(at),
            _ => content.insert(at, random.random()),
        }
        if content.is_empty() {
            return;
        }
    }
}

fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if let Ok(content) = std::fs::read(&path) {
            files.push((path, content));
        }
    }
    files.sort();
    files
}
