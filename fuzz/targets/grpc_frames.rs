//! Any bytes as a gRPC request of the test service.

#![no_main]

#[path = "../../test-services/minimal-service/tests/support/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::case(bytes));
