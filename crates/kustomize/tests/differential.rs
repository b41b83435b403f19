//! The same trees, and as many generated ones, built by kustomize itself: object by object the same.
//!
//! Needs the testbed: `MESHY_TESTBED=/path/to/testbed cargo test -p meshy-kustomize --test differential -- --ignored`, as
//! `tests/testbed.sh` does. With `MESHY_RECORD=1` kustomize's verdicts on the trees are recorded again.

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/random_lists.rs"]
mod random_lists;
#[path = "support/random_tree.rs"]
mod random_tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use corpus::{Verdicts, shown, trees};
use meshy_kustomize::{Disk, build};
use serde_json::Value;

/// How many generated trees are compared; `MESHY_GENERATED` overrides it.
const GENERATED: u64 = 60;

#[test]
#[ignore = "needs kustomize: tests/testbed.sh"]
fn kustomize_still_gives_the_recorded_verdicts() {
    let kustomize = kustomize();
    let mut verdicts = Verdicts::default();
    for tree in trees() {
        let verdict = run(&kustomize, &tree.start());
        if std::env::var_os("MESHY_RECORD").is_some() {
            let (name, text, other) = match &verdict {
                Ok(printed) => ("expected.yaml", printed.clone(), "expected.error"),
                Err(said) => {
                    let root = tree.root.canonicalize().unwrap().display().to_string();
                    (
                        "expected.error",
                        said.replace(&root, "TREE").chars().take(1500).collect(),
                        "expected.yaml",
                    )
                }
            };
            std::fs::write(tree.root.join(name), text).expect("the verdict can be written");
            // There was another verdict before, or none: either is fine.
            let _gone = std::fs::remove_file(tree.root.join(other));
        }
        verdicts.check(verdict.ok() == tree.printed(), || {
            format!("{}: kustomize has another verdict", tree.name)
        });
    }
    verdicts.finish();
}

#[test]
#[ignore = "needs kustomize: tests/testbed.sh"]
fn generated_trees_build_to_the_objects_that_kustomize_makes() {
    let kustomize = kustomize();
    let mut verdicts = Verdicts::default();
    let mut built = 0;
    let generated = generated();
    for seed in 0..generated {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let start = random_tree::write(seed, dir.path());
        match (run(&kustomize, &start), build(&Disk, &start)) {
            (Ok(printed), Ok(output)) => {
                built += 1;
                let objects: Vec<Value> = serde_yaml::from_multiple(&printed).expect("kustomize prints YAML");
                verdicts.check(objects.len() == output.objects.len(), || {
                    format!("seed {seed}: another number of objects")
                });
                for (theirs, ours) in objects.iter().zip(&output.objects) {
                    verdicts.check(theirs == ours, || format!("seed {seed}: {ours}\nis not\n{theirs}"));
                }
                verdicts.check(output.to_yaml() == printed, || format!("seed {seed}: other text"));
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => {
                verdicts.check(false, || format!("seed {seed}: {}", shown(&error, dir.path())));
            }
            (Err(said), Ok(_)) => verdicts.check(false, || format!("seed {seed}: kustomize failed: {said}")),
        }
    }
    verdicts.finish();
    assert!(built > generated / 2, "only {built} of {generated} trees can be built: the generator is wrong");
}

#[test]
#[ignore = "needs kustomize: tests/testbed.sh"]
fn generated_patches_of_lists_merge_as_kustomize_merges_them() {
    let kustomize = kustomize();
    let mut verdicts = Verdicts::default();
    let generated = generated();
    for seed in 0..generated {
        let dir = tempfile::tempdir().expect("a temporary folder");
        random_lists::write(seed, dir.path());
        let printed = run(&kustomize, dir.path()).expect("kustomize merges any lists");
        let ours = build(&Disk, dir.path()).map(|output| output.to_yaml());
        verdicts.check(ours.as_ref().is_ok_and(|ours| *ours == printed), || {
            format!("seed {seed}: {ours:?}\nis not\n{printed}")
        });
    }
    verdicts.finish();
}

fn generated() -> u64 {
    std::env::var("MESHY_GENERATED").map_or(GENERATED, |count| count.parse().expect("a number"))
}

/// Returns the testbed's kustomize.
fn kustomize() -> PathBuf {
    let testbed = std::env::var_os("MESHY_TESTBED").expect("MESHY_TESTBED is the testbed's folder");
    let unpacked = Command::new(Path::new(&testbed).join("unpack")).output().expect("the testbed unpacks");
    assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let folder = String::from_utf8(unpacked.stdout).expect("a path");
    Path::new(folder.lines().last().unwrap_or_default().trim()).join("kustomize")
}

/// Returns the output of kustomize, or its error.
fn run(kustomize: &Path, dir: &Path) -> Result<String, String> {
    let output = Command::new(kustomize).arg("build").arg(dir).output().expect("kustomize runs");
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).expect("kustomize prints text"));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said
        .lines()
        .filter(|line| !line.starts_with("# Warning"))
        .fold(String::new(), |text, line| text + line + "\n"))
}
