//! Any files as a tree of overlays.

#![no_main]

#[path = "../../crates/kustomize/tests/support/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::case(bytes));
