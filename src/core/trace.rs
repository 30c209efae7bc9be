//! What happened during one evaluation, for people who write rules.
//!
//! A trace holds no token and no secret; it does hold claims, so it is made only
//! where the author of the rule looks on, never for a log.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// One step of an evaluation.
#[derive(Clone, Debug)]
pub enum Step {
    /// A call was sent, skipped or given up.
    Call {
        /// Its name.
        name: String,
        /// The request line and headers, credentials replaced by their names; empty for a skipped call.
        request: Vec<String>,
        /// What came of it, in words: `200, 1048 bytes`, `skipped: when is false`.
        result: String,
        /// When it started and ended, since the evaluation began.
        time: Option<(Duration, Duration)>,
    },
    /// A claim got its value, or none.
    Claim {
        /// Its name.
        name: String,
        /// The value as JSON; `None` for an absent one.
        value: Option<String>,
        /// The words of the rule that it came from.
        from: String,
    },
    /// What the rule's receiver would make of a claim.
    Judgement {
        /// The name of the receiver.
        receiver: &'static str,
        /// The claim.
        claim: String,
        /// `ok`, `warn` or `fail`.
        standing: String,
        /// What the receiver does with it.
        words: String,
    },
    /// Something else that decided the answer: a guard, the script.
    Note(String),
}

/// Collects the steps of one evaluation.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Vec<Step>>);

impl Trace {
    /// Notes a step.
    pub fn add(&self, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// All steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
