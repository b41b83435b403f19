//! Replays the corpora of the fuzz targets.

#[path = "../../../../fuzz/replay.rs"]
mod replay;

use super::fuzzed;
use replay::replay;

#[test]
fn the_corpus_of_callers_replays() {
    replay("caller", fuzzed::caller);
}

#[test]
fn the_corpus_of_upstreams_replays() {
    replay("upstream", fuzzed::upstream);
}

#[test]
fn the_corpus_of_grpc_trailers_replays() {
    replay("grpc_trailers", fuzzed::grpc_trailers);
}

#[test]
fn the_corpus_of_mesh_headers_replays() {
    replay("mesh_headers", fuzzed::mesh_headers);
}
