//! See `src/decode.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claimsmith_fuzz::decode::check(bytes));
