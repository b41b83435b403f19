//! Any trailers of an upstream's gRPC response.

#![no_main]

#[path = "../../crates/dataplane/tests/dataplane"]
mod dataplane {
    #[allow(dead_code)]
    pub(crate) mod fuzzed;
    #[allow(dead_code, unused_imports)]
    mod support;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dataplane::fuzzed::grpc_trailers(bytes));
