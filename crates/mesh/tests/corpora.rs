//! What the fuzz target has learned of profiles and other objects, replayed.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn what_was_learned_of_profiles_holds() {
    replay::replay("profile", fuzzed::case);
}
