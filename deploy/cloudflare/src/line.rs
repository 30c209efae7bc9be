//! The line of the log that a request leaves: one JSON object with the fields of the program's, and no token, secret,
//! claim, or path that is no rule's name. The platform adds the time.

use claimsmith::core::{Blame, Failure, Outcome, method_name};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

/// How serious a line is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well, or the caller's doing.
    #[default]
    Info,
    /// An upstream's doing.
    Warn,
    /// Somebody of ours has to look at it.
    Error,
}

/// How serious an answer is.
pub fn level(outcome: &Outcome) -> Level {
    match outcome.failure.as_ref().map(Failure::blame) {
        Some(Blame::Us) => Level::Error,
        Some(Blame::Upstream) => Level::Warn,
        None if !outcome.calls.given_up.is_empty() || outcome.calls.stale > 0 => Level::Warn,
        None | Some(Blame::Caller) => Level::Info,
    }
}

/// The line of an answer.
pub fn write(level: Level, rule: &str, method: &Method, outcome: &Outcome, took_ms: u64, id: &str) -> String {
    let calls = &outcome.calls;
    let method = method_name(method);
    let mut line = Map::new();
    let mut add = |name: &str, value: Value| line.insert(name.into(), value);
    add("level", level.name().into());
    add("rule", rule.into());
    add("method", method.into());
    add("status", outcome.response.status().as_u16().into());
    add("duration_ms", took_ms.into());
    add("calls", calls.sent.into());
    for (name, count) in [("kept", calls.kept), ("stale", calls.stale)] {
        if count > 0 {
            add(name, count.into());
        }
    }
    if !calls.given_up.is_empty() {
        add("given_up", calls.given_up.join(",").into());
    }
    if let Some(failure) = &outcome.failure {
        add("reason", failure.words().into());
    }
    add("request_id", id.into());
    add("message", if outcome.failure.is_some() { "refused" } else { "answered" }.into());
    Value::Object(line).to_string()
}

impl Level {
    /// As the program writes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}
