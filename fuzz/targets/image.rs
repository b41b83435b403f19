//! Any bytes as an image's archive.

#![no_main]

#[path = "../../tests/fuzzed/image.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::case(bytes));
