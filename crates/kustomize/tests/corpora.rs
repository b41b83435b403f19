//! Replays the corpus of the fuzz target for trees.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_tree_corpus_passes() {
    replay::replay("kustomize", fuzzed::case);
}
