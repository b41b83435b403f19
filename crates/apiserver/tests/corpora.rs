//! What the fuzz targets have learned of patches and requests, replayed.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn what_was_learned_of_patches_holds() {
    replay("patch", fuzzed::patch);
}

#[test]
fn what_was_learned_of_requests_holds() {
    replay("query", fuzzed::query);
}
