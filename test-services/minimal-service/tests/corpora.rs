//! Replays the corpus of the fuzz target for gRPC requests.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_of_grpc_frames_passes() {
    replay::replay("grpc_frames", fuzzed::case);
}
