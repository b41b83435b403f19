//! Replays the corpus of the fuzz target for profiles and other objects.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_profile_corpus_passes() {
    replay::replay("profile", fuzzed::case);
}
