//! What the fuzz targets have learned, replayed: each file of `fuzz/corpus` is one input.

use std::fs;
use std::path::Path;

use super::fuzzed;

fn replay(target: &str, case: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "{} holds {} files", folder.display(), files.len());
    for file in files {
        // Shown by the test when the case fails.
        eprintln!("{}", file.display());
        case(&fs::read(file).unwrap());
    }
}

#[test]
fn what_was_learned_of_callers_holds() {
    replay("caller", fuzzed::caller);
}

#[test]
fn what_was_learned_of_upstreams_holds() {
    replay("upstream", fuzzed::upstream);
}

#[test]
fn what_was_learned_of_the_meshs_headers_holds() {
    replay("mesh_headers", fuzzed::mesh_headers);
}
