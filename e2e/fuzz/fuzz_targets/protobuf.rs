//! Feeds the target `protobuf` of `e2e::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| e2e::fuzz::feed("protobuf", data));
