//! Any patches of any object.

#![no_main]

#[path = "../../crates/apiserver/tests/support/fuzzed.rs"]
#[allow(dead_code)]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::patch(bytes));
