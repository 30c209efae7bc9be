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

/// A target: its name, what it asks of an input, and the most bytes of one that make sense.
pub type Target = (&'static str, fn(&[u8]), usize);

/// All of them.
pub const TARGETS: [Target; 11] = [
    ("answer", answer::check, 8 * 1024),
    ("cases", cases::check, 8 * 1024),
    ("decode", decode::check, 8 * 1024),
    ("expression", expression::check, 2 * 1024),
    ("http", http::check, 4 * 1024),
    ("path", path::check, 1024),
    ("propose", propose::check, 8 * 1024),
    ("request", request::check, 2 * 1024),
    ("rule", rule::check, 8 * 1024),
    ("text", text::check, 1024),
    ("token", token::check, 4 * 1024),
];
