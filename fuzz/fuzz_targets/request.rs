//! See `src/request.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claimsmith_fuzz::request::check(bytes));
