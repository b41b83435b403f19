//! The fuzz target for builds: arbitrary files end in an error, or in objects whose YAML builds to the same objects.

use std::path::Path;

use meshy_kustomize::{Memory, build};
use serde_json::Value;

/// Stands before the path of each file but the first, which is the kustomization.
const FILE: &str = "\n=== ";

/// One tree.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut files = text.split(FILE);
    let mut tree = Memory::new();
    tree.insert("/kustomization.yaml", files.next().unwrap_or_default().to_owned());
    for file in files {
        let (path, content) = file.split_once('\n').unwrap_or((file, ""));
        tree.insert(path, content.to_owned());
    }
    let output = match build(&tree, Path::new("/")) {
        Ok(output) => output,
        Err(error) => return drop(error.to_string()),
    };
    let yaml = output.to_yaml();
    // A file cannot be without objects, and a list in one is taken apart.
    let list = |object: &Value| object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if output.objects.is_empty() || output.objects.iter().any(list) {
        return;
    }
    let mut again = Memory::new();
    again.insert("/kustomization.yaml", "resources: [all.yaml]\n");
    again.insert("/all.yaml", yaml.clone());
    let again = build(&again, Path::new("/"))
        .unwrap_or_else(|error| panic!("{error}: {:?} of\n{yaml}", error.cause()));
    assert_eq!(again.objects, output.objects, "of\n{yaml}");
    assert_eq!(again.to_yaml(), yaml);
}
