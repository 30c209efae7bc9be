//! The outermost tests: the gateway, its commands and its rules from outside.
//!
//! One program, one module an area. Everything stays on the loopback interface.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests read files, start programs, and fail by panicking"
)]

mod support;

// Rules on hosts at the edge.
mod bundle;
// Who may ask.
mod access;
// Answers that are used again, and for whom.
mod caches;
// Health, metrics and the state of the rules.
mod admin;
// What the upstream gets to see, and what becomes of its answer.
mod calls;
// What it takes to speak to the providers there are.
mod capabilities;
// Rules on recorded answers, by the command for it.
mod cases;
// The program: commands, exit codes, output, signals.
mod cli;
// What shells complete, and manual pages.
mod completions;
// What of a rule no case comes past.
mod coverage;
// Tokens and certificates of our own.
mod credentials;
// Formats and charsets of answers.
mod decode;
// What an edit of a rule changes.
mod diff;
// Where calls connect to, and how that is secured.
mod egress;
// The pages about problems, by their examples.
mod explain;
// The failure table, whole.
mod failures;
// What SECURITY.md promises has tests.
mod promises;
// Imports point downward; every file has a head.
mod floors;
// Request in, answer out, over real sockets.
mod flow;
// What upstreams get when they fail, say that it is enough, or close connections.
mod manners;
// The one look of rules.
mod format;
// Functions that rules may call, and where they are listed.
mod functions;
// Calls for every value and every page, and calls that are tried again.
mod lists;
// The ends of the language server.
mod lsp;
// What is written while the program serves, and what never is.
mod logs;
// The calls of a rule, drawn.
mod plan;
// The page that shows a rule at work, by its server.
mod play;
// What is said of a wrong rule: pairs of a rule and its problems.
mod problems;
// HTTP/1.1, HTTP/2 and TLS, and what is no HTTP.
mod protocol;
// The catalogue as a whole, rule by rule.
mod catalogue;
// The catalogue against documented answers.
mod providers;
// What is proposed from a sample answer.
mod propose;
// What each receiver insists on, kept.
mod receivers;
// Logins as cases, without anything of the person.
mod record;
// Inputs that were made up to break something.
mod fuzzed;
// The same by the process in service, when it is told to.
mod recording;
// Rules, secrets and settings that change while the program serves.
mod reload;
// Restarts that nobody notices.
mod restart;
// The rules that are shipped, and their cases.
mod rules;
// What editors are told of rules.
mod schema;
// Scripts that try to run away.
mod scripts;
// The rules inside of the program.
mod shipped;
// Dependencies, and why they are there.
mod supply;
// Whose token passes, and whose answer.
mod tokens;
// What people who look on are told of an evaluation.
mod traces;
// Malformed, huge and deep input, by the thousand.
mod torture;
// From the document to the claims, digit for digit.
mod values;
// Traces and metrics for a collector.
mod otlp;
// From a raw answer to a rule, by commands.
mod walks;
