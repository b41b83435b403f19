//! What a fuzz target has learned, replayed by `cargo test`: each file of `fuzz/corpus/TARGET` is one input.

use std::fs;
use std::path::Path;

/// Runs a target's case on each input of its corpus.
pub(crate) fn replay(target: &str, case: impl Fn(&[u8])) {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("fuzz/corpus"));
    let corpora =
        folders.into_iter().find(|folder| folder.is_dir()).expect("the corpora are in the repository");
    let folder = corpora.join(target);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 5, "{} holds {} files", folder.display(), files.len());
    for file in files {
        // Shown by the test when the case fails.
        eprintln!("{}", file.display());
        case(&fs::read(file).unwrap());
    }
}
