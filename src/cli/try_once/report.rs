//! What `try` tells of an evaluation: as text for people, as one JSON document for tickets.

use serde_json::{Value, json};

use super::waterfall;
use crate::{
    cli::output,
    core::{
        CompiledRule, Failure, Outcome, Step,
        trace::{Claim, Stage, type_of},
    },
};

/// Everything that is told.
pub(super) struct Report<'a> {
    pub(super) rule: &'a CompiledRule,
    pub(super) outcome: &'a Outcome,
    pub(super) steps: &'a [Step],
    /// The body of the answer, without what nobody may see.
    pub(super) body: String,
}

/// The longest value that a table shows whole, in characters.
const MAX_VALUE: usize = 60;

impl Report<'_> {
    /// The steps one after another, and the calls over time.
    pub(super) fn steps(&self, width: usize) -> Vec<String> {
        // What is said of claims and by the receiver stands in their table.
        let told = |step: &&Step| !matches!(step, Step::Claim(_) | Step::Judgement { .. });
        let mut lines: Vec<_> = self.steps.iter().filter(told).map(output::step).collect();
        let drawn = waterfall::draw(self.steps, width);
        if !drawn.is_empty() {
            lines.push(String::new());
            lines.extend(drawn);
        }
        lines
    }

    /// The claims: value, type, where it came from, and what the receiver does with it.
    pub(super) fn claims(&self) -> Vec<String> {
        let claims = self.last_of_each();
        let value =
            |claim: &Claim| claim.value.as_ref().map_or("–".to_owned(), |value| shortened(&value.to_string()));
        let kind = |claim: &Claim| claim.value.as_ref().map_or("", type_of);
        let rows = claims.iter().map(|claim| [claim.name.clone(), value(claim), kind(claim).to_owned(), from(claim)]);
        let rows: Vec<_> = rows.collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let (name, shown, kind) = (width(0), width(1), width(2));
        let mut lines = Vec::new();
        for row in &rows {
            let line = format!("{:name$}  {:shown$}  {:kind$}  {}", row[0], row[1], row[2], row[3]);
            lines.push(line.trim_end().to_owned());
            lines.extend(
                self.judgements(&row[0])
                    .map(|(receiver, standing, words)| format!("{:name$}  {standing}: {receiver}: {words}", "")),
            );
        }
        // What the receiver misses has no row.
        for step in self.steps {
            if let Step::Judgement { receiver, claim, standing, words } = step
                && claims.iter().all(|known| known.name != *claim)
            {
                lines.push(format!("{claim:name$}  {standing}: {receiver}: {words}"));
            }
        }
        lines
    }

    /// Why there are no claims, and what to do.
    pub(super) fn failure(&self) -> Vec<String> {
        let Some((stage, failure)) = self.failed() else { return Vec::new() };
        let error = failure.error().map(|error| format!(" {error}")).unwrap_or_default();
        vec![
            format!("{}: {}", self.outcome.response.status(), failure.words()),
            format!("  step    {stage}"),
            format!("  answer  {}{error}: {}", failure.status().as_u16(), failure.row()),
            format!("  do      {}", failure.remedy()),
        ]
    }

    /// All of it in one document.
    pub(super) fn json(&self) -> Value {
        let claims = self.last_of_each();
        let claims: Vec<_> = claims
            .iter()
            .map(|claim| {
                let mut row = claim.as_json();
                let judged =
                    |(receiver, standing, words)| json!({ "name": receiver, "standing": standing, "words": words });
                row["receiver"] = self.judgements(&claim.name).map(judged).next().unwrap_or_default();
                row
            })
            .collect();
        let failed = self.failed().map(|(stage, failure)| {
            let mut failed = stage.as_json();
            failed["words"] = failure.words().into();
            failed["error"] = failure.error().into();
            failed["row"] = failure.row().into();
            failed["remedy"] = failure.remedy().into();
            failed
        });
        let answer = serde_json::from_str(&self.body).unwrap_or_else(|_| Value::from(self.body.as_str()));
        json!({
            "claimsmith": env!("CARGO_PKG_VERSION"),
            "rule": self.rule.name(),
            "receiver": self.rule.contract().map(|contract| contract.name),
            "status": self.outcome.response.status().as_u16(),
            "answer": answer,
            "failed": failed,
            "claims": claims,
            "steps": self.steps.iter().map(Step::as_json).collect::<Vec<_>>(),
            "longest_way": waterfall::longest_way(self.steps),
        })
    }

    /// The step at which it failed. When the time was spent that is a call which has no answer yet.
    fn failed(&self) -> Option<(Stage, &Failure)> {
        let failure = self.outcome.failure.as_ref()?;
        let open =
            self.steps.iter().rev().find(
                |step| matches!(step, Step::Call(call) if call.outcome == crate::core::trace::Outcome::Unanswered),
            );
        let stage = open.filter(|_| matches!(failure, Failure::Deadline)).map(Step::stage);
        Some((stage.unwrap_or_else(|| failure.stage()), failure))
    }

    /// What was said last of each claim, in the order in which they came up.
    fn last_of_each(&self) -> Vec<&Claim> {
        let mut claims: Vec<&Claim> = Vec::new();
        for step in self.steps {
            let Step::Claim(claim) = step else { continue };
            match claims.iter_mut().find(|known| known.name == claim.name) {
                Some(known) => *known = claim,
                None => claims.push(claim),
            }
        }
        claims
    }

    fn judgements<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (&'static str, &'s str, &'s str)> {
        self.steps.iter().filter_map(move |step| match step {
            Step::Judgement { receiver, claim, standing, words } if claim == name => {
                Some((*receiver, &**standing, &**words))
            }
            _ => None,
        })
    }
}

/// Where a claim came from, with the place in the rule.
fn from(claim: &Claim) -> String {
    let place = claim.from.place.as_ref();
    let line = place.map(|place| format!(" (line {})", place.line_and_column().0)).unwrap_or_default();
    format!("{}{line}", claim.from.words())
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}
