//! Any text as a proxy's metrics.

#![no_main]

#[path = "../../tests/fuzzed/metrics.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::case(bytes));
