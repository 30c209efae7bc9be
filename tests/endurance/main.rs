//! What takes long, needs the program as it is shipped, or wants a network and tools of its own.
//!
//! No part of `cargo test`: `.ci/endurance` runs it, in a network where nothing but the loopback interface is, and says
//! how to run the long forms. Each test prints the figure that it saw, with the number of the promise.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, start programs, print figures, and fail by panicking"
)]

mod clients;
mod network;
mod program;
mod proxy;
#[expect(dead_code, reason = "it has more than these tests need")]
#[path = "../support/random.rs"]
mod random;
mod upstream;

// Answers that are larger than they look.
mod bombs;
// Rules and secrets that change, and processes that take over, while clients ask.
mod changes;
// One request, one deadline.
mod deadlines;
// Upstreams and networks that fail.
mod faults;
// Whose answer it is.
mod isolation;
// Upstreams that are away for long.
mod outage;
// More requests than can be answered.
mod overload;
// Clients that are slow by thousands.
mod slow;
// Memory and file descriptors over time.
mod soak;
