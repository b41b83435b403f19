//! Broken trees end in an error, never in a panic or in a hang.

#[path = "support/corpus.rs"]
mod corpus;

use std::path::{Path, PathBuf};

use corpus::trees;
use meshy_kustomize::{Disk, Error, Memory, build};
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

/// A tree of `levels` levels with two folders each; every folder names both of the level below, and `bottom` is what the
/// two folders of level 0 hold.
fn diamonds(levels: usize, bottom: &str) -> Memory {
    let mut memory = Memory::new();
    for side in ["a", "b"] {
        memory.insert(format!("/0{side}/kustomization.yaml"), bottom.to_owned());
        for level in 1..levels {
            let below = level - 1;
            let text = format!("resources: [../{below}a, ../{below}b]\nnamePrefix: {side}{level}-\n");
            memory.insert(format!("/{level}{side}/kustomization.yaml"), text);
        }
    }
    memory
}

fn limit(tree: &Memory, start: &str) -> String {
    match build(tree, Path::new(start)).expect_err("it is refused") {
        error @ Error::Limit { .. } => error.to_string(),
        other => panic!("{other}: {}", other.cause()),
    }
}

#[test]
fn a_base_that_is_reached_by_two_to_the_thirtieth_paths_is_refused_by_a_limit() {
    let empty = diamonds(31, "namePrefix: x-\n");
    assert_eq!(limit(&empty, "/30a"), "the tree has more than 5000 kustomizations");
    let generated = diamonds(31, "configMapGenerator: [{name: base}]\n");
    // Both folders of level 0 generate an object of one name, which is a conflict as in kustomize.
    let error = build(&generated, Path::new("/30a")).unwrap_err();
    assert!(matches!(error.cause(), Error::Duplicate { .. }), "{error}");
}

#[test]
fn a_base_that_is_reached_by_several_paths_is_built_for_each_of_them() {
    let distinct = |levels| {
        let mut tree = diamonds(levels, "");
        for side in ["a", "b"] {
            let text = format!("configMapGenerator: [{{name: {side}}}]\n");
            tree.insert(format!("/0{side}/kustomization.yaml"), text);
        }
        tree
    };
    // The prefixes of each path give different names: 2^4 objects, as kustomize builds them.
    assert_eq!(build(&distinct(5), Path::new("/4a")).expect("it builds").objects.len(), 16);
    assert_eq!(limit(&distinct(31), "/30a"), "the tree has more than 5000 kustomizations");
}

#[test]
fn objects_that_multiply_on_their_way_are_refused_by_a_limit() {
    let mut tree = Memory::new();
    let files = ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"];
    for file in files {
        let object =
            |i: usize| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {file}-{i}}}\n---\n");
        tree.insert(format!("/0/{file}"), (0..1_000).map(object).collect::<String>());
    }
    tree.insert("/0/kustomization.yaml", format!("resources: [{}]\n", files.join(", ")));
    for level in 1..50 {
        tree.insert(format!("/{level}/kustomization.yaml"), format!("resources: [../{}]\n", level - 1));
    }
    assert_eq!(limit(&tree, "/49"), "the tree has more than 200000 objects");
}

#[test]
fn a_tree_that_is_nested_too_deep_is_refused_by_a_limit() {
    let mut tree = Memory::new();
    tree.insert("/0/kustomization.yaml", "configMapGenerator: [{name: base}]\n");
    for level in 1..10_000 {
        tree.insert(format!("/{level}/kustomization.yaml"), format!("resources: [../{}]\n", level - 1));
    }
    assert!(build(&tree, Path::new("/99")).is_ok());
    for start in ["/100", "/9999"] {
        assert_eq!(limit(&tree, start), "the tree has more than 100 kustomizations inside each other");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
        assert!(made.expect("mkfifo runs").success());
    };
    let refused = |what: &str| {
        let error = build(&Disk, folder.path()).unwrap_err();
        let text = error.cause().to_string();
        assert!(text.starts_with("cannot read `") && text.ends_with("not a regular file"), "{what}: {text}");
    };
    pipe("kustomization.yaml");
    refused("the kustomization");
    std::fs::remove_file(folder.path().join("kustomization.yaml")).expect("it is there");
    pipe("pipe.yaml");
    for text in [
        "resources: [pipe.yaml]\n",
        "configMapGenerator: [{name: a, files: [pipe.yaml]}]\n",
        "configMapGenerator: [{name: a, envs: [pipe.yaml]}]\n",
        "patches: [{path: pipe.yaml, target: {kind: X}}]\n",
    ] {
        std::fs::write(folder.path().join("kustomization.yaml"), text).expect("a file");
        refused(text);
    }
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
