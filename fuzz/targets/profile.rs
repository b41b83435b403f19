//! Any objects for lint and the injection transform.

#![no_main]

#[path = "../../crates/linkerd/tests/support/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::case(bytes));
