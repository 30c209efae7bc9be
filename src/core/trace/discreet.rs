//! A trace for those who run the gateway: what happened and how long it took, and no value of anybody.
//!
//! What is left is what the author of the rule wrote, what this program says by itself, and statuses, lengths, times
//! and types. Each step lists what it tells, so that something new is not told unless somebody says so here.

use serde_json::{Map, Value, json};

use super::{Provenance, Stage, Step, type_of};

/// A name that stands in the rule; others come from answers.
const UNKNOWN: &str = "[name]";
/// What is told of a request of a call.
const OF_CALLS: [&str; 12] = [
    "step", "call", "which", "outcome", "words", "status", "bytes", "after", "attempts", "place", "start_ms", "end_ms",
];

impl Step {
    /// The step as JSON, with no value in it. `rule` is the text of the rule: names that do not stand in it are not
    /// told.
    pub fn as_discreet_json(&self, rule: &str) -> Value {
        let name = |name: &str| if rule.contains(name) { Value::from(name) } else { UNKNOWN.into() };
        match self {
            Step::Call(call) => {
                let mut step = self.as_json();
                if let Value::Object(members) = &mut step {
                    members.retain(|member, _| OF_CALLS.contains(&member.as_str()));
                    // The first line is as the rule writes it, but for the query of a next page; the others are headers.
                    members.insert("request".into(), call.request.first().map(|line| without_query(line)).into());
                }
                step
            }
            Step::Claim(claim) => of(
                &self.stage(),
                json!({
                    "name": name(&claim.name),
                    "type": claim.value.as_ref().map(type_of),
                    "from": origin(&claim.from),
                }),
            ),
            Step::Judgement { receiver, claim, standing, .. } => {
                of(&self.stage(), json!({ "receiver": receiver, "claim": name(claim), "standing": standing }))
            }
            Step::Decode { words, .. } => {
                // What the upstream calls it comes after that.
                of(&self.stage(), json!({ "words": words.split(';').next() }))
            }
            // Their words are those of the log, or our own.
            Step::Receive { .. }
            | Step::Condition(_)
            | Step::Script { .. }
            | Step::Respond { .. }
            | Step::Failed { .. }
            | Step::Note { .. } => self.as_json(),
        }
    }
}

fn of(stage: &Stage, more: Value) -> Value {
    let mut step = stage.as_json();
    if let (Value::Object(step), Value::Object(more)) = (&mut step, more) {
        step.extend(more);
    }
    step
}

fn without_query(line: &str) -> String {
    line.split_once('?').map_or_else(|| line.to_owned(), |(address, _)| format!("{address}?…"))
}

/// Where a value came from, by what the rule says.
fn origin(from: &Provenance) -> Value {
    let whole = from.as_json();
    let told = ["way", "text", "reads", "alternative", "changed", "conversion", "place"];
    let members = told.iter().filter_map(|name| Some(((*name).to_owned(), whole.get(name)?.clone())));
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}
