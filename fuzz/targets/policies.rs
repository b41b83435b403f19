//! Any objects for the parsers of policies.

#![no_main]

#[path = "../../crates/linkerd/tests/support/policies.rs"]
mod policies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policies::case(bytes));
