//! See `src/cases.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claimsmith_fuzz::cases::check(bytes));
