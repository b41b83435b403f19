//! What the fuzz target has learned of trees, replayed.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn what_was_learned_of_trees_holds() {
    replay::replay("kustomize", fuzzed::case);
}
