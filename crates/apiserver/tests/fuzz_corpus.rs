//! Replays the corpora of the fuzz targets `patch` and `query`.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn patch_corpus_inputs_pass() {
    replay("patch", fuzzed::patch);
}

#[test]
fn query_corpus_inputs_pass() {
    replay("query", fuzzed::query);
}
