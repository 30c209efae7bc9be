//! A trace as JSON: the same for tickets, tests and pages that show it.

use serde_json::{Value, json};

use super::{Attempt, Call, Claim, Outcome, Provenance, Span, Stage, Step, type_of};
use crate::core::problem::Place;

impl Step {
    /// The step as JSON: `step` is the name of its stage, `call` the call that it is about.
    pub fn as_json(&self) -> Value {
        let more = match self {
            Step::Receive { words, time } => with_time(json!({ "words": words }), *time),
            Step::Call(call) => call.as_json(),
            Step::Condition(condition) => json!({
                "condition": condition.asking.key(),
                "text": condition.text,
                "holds": condition.holds,
                "place": place(&condition.place),
            }),
            Step::Claim(claim) => claim.as_json(),
            Step::Judgement { receiver, claim, standing, words } => {
                json!({ "receiver": receiver, "claim": claim, "standing": standing, "words": words })
            }
            Step::Respond { status, bytes } => json!({ "status": status, "bytes": bytes }),
            Step::Failed { words, .. } => json!({ "failed": words }),
            Step::Decode { words, .. } | Step::Script { words } | Step::Note { words, .. } => json!({ "words": words }),
        };
        let mut step = self.stage().as_json();
        if let (Value::Object(step), Value::Object(more)) = (&mut step, more) {
            step.extend(more);
        }
        step
    }
}

impl Stage {
    /// `step`, and `call` if there is one.
    pub fn as_json(&self) -> Value {
        match self.call() {
            Some(call) => json!({ "step": self.name(), "call": call }),
            None => json!({ "step": self.name() }),
        }
    }
}

impl Call {
    fn as_json(&self) -> Value {
        let outcome = match &self.outcome {
            Outcome::Answered => "answered",
            Outcome::Skipped => "skipped",
            Outcome::GivenUp(_) => "given up",
            Outcome::Failed(_) => "failed",
            Outcome::Unanswered => "unanswered",
        };
        let which = Some(&self.which).filter(|which| !which.is_empty());
        let call = json!({
            "which": which,
            "outcome": outcome,
            "words": self.words(),
            "status": self.answer.map(|(status, _)| status),
            "bytes": self.answer.map(|(_, bytes)| bytes),
            "after": self.after,
            "request": self.request,
            "attempts": self.attempts.iter().map(Attempt::as_json).collect::<Vec<_>>(),
            "place": place(&self.place),
        });
        with_time(call, self.time)
    }
}

impl Attempt {
    fn as_json(&self) -> Value {
        with_time(json!({ "what": self.what, "words": self.words }), Some(self.time))
    }
}

impl Claim {
    /// The claim with its value, type and provenance.
    pub fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "type": self.value.as_ref().map(type_of),
            "from": self.from.as_json(),
        })
    }
}

impl Provenance {
    /// Where a value came from.
    pub fn as_json(&self) -> Value {
        let choice = self.choice.map(|(taken, of)| json!({ "taken": taken + 1, "of": of }));
        json!({
            "way": self.way.name(),
            "words": self.words(),
            "text": Some(&self.text).filter(|text| !text.is_empty()),
            "reads": self.reads,
            "alternative": choice,
            "changed": self.polish,
            "conversion": self.conversion,
            "place": self.place.as_ref().map(place),
        })
    }
}

/// File, line and column, both counted from 1.
fn place(place: &Place) -> Value {
    let (line, column) = place.line_and_column();
    json!({ "file": place.source.name, "line": line, "column": column })
}

/// Milliseconds since the evaluation began.
fn with_time(mut value: Value, time: Option<Span>) -> Value {
    if let Some((from, to)) = time {
        let millis = |time: std::time::Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        value["start_ms"] = millis(from).into();
        value["end_ms"] = millis(to).into();
    }
    value
}
