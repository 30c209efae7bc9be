//! The outermost tests: the gateway, its commands and its rules from outside.
//!
//! One program, one module an area. Everything stays on the loopback interface.

mod support;

// Imports point downward; every file has a head.
mod floors;
// Request in, answer out, over real sockets.
mod flow;
// What the upstream gets to see, and what becomes of its answer.
mod calls;
// The failure table, whole.
mod failures;
// The values of claims, absence, and numbers that stay exact.
mod values;
