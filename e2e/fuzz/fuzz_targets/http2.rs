//! Feeds the target `http2` of `e2e::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| e2e::fuzz::feed("http2", data));
