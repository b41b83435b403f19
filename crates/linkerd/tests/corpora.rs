//! Replays the corpora of the fuzz targets for profiles and other objects, and for policies.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "support/policies.rs"]
mod policies;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_profile_corpus_passes() {
    replay::replay("profile", fuzzed::case);
}

#[test]
fn the_policies_corpus_passes() {
    replay::replay("policies", policies::case);
}
