//! Any text as the user's kubeconfig.

#![no_main]

#[path = "../../tests/fuzzed/kubeconfig.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::case(bytes));
