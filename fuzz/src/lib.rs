//! What is asked of every input, whatever its bytes: a function for each fuzz target.
//!
//! A function panics if a promise is broken. The binaries in `fuzz_targets/` hand it what libFuzzer makes up; `cargo test`
//! of the project hands it the inputs that are kept in `seeds/`, and those that once broke a promise.
//!
//! ```text
//!  rule, expression, path, text     what an author writes
//!  answer, decode, propose          what a provider answers
//!  request, http, token             what a caller sends
//!  cases                            what a recording says
//! ```
//!
//! All of them come in by the doors of the library that everybody has; nothing is opened for them.

#![forbid(unsafe_code)]

pub mod answer;
pub mod cases;
pub mod decode;
pub mod expression;
pub mod http;
pub mod path;
pub mod propose;
pub mod request;
pub mod rule;
pub mod text;
pub mod token;

mod outcome;
mod problems;
mod world;

/// A target: its name, and what it asks of an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 11] = [
    ("answer", answer::check),
    ("cases", cases::check),
    ("decode", decode::check),
    ("expression", expression::check),
    ("http", http::check),
    ("path", path::check),
    ("propose", propose::check),
    ("request", request::check),
    ("rule", rule::check),
    ("text", text::check),
    ("token", token::check),
];
