//! What the fuzz targets have learned, replayed.

#[path = "../../../../fuzz/replay.rs"]
mod replay;

use super::fuzzed;
use replay::replay;

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
