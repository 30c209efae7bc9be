//! See `src/token.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claimsmith_fuzz::token::check(bytes));
