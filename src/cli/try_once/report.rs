//! What `try` tells people of an evaluation.

use super::waterfall;
use crate::{
    authoring::report::Report,
    cli::output,
    core::{
        Step,
        trace::{Claim, type_of},
    },
};

/// The longest value that a table shows whole, in characters.
const MAX_VALUE: usize = 60;

/// The report as text.
pub(super) struct Told<'a>(pub(super) &'a Report<'a>);

impl Told<'_> {
    /// The steps one after another, and the calls over time.
    pub(super) fn steps(&self, width: usize) -> Vec<String> {
        // What is said of claims and by the receiver stands in their table.
        let told = |step: &&Step| !matches!(step, Step::Claim(_) | Step::Judgement { .. });
        let mut lines: Vec<_> = self.0.steps.iter().filter(told).map(output::step).collect();
        let drawn = waterfall::draw(self.0.steps, width);
        if !drawn.is_empty() {
            lines.push(String::new());
            lines.extend(drawn);
        }
        lines
    }

    /// The claims: value, type, where it came from, and what the receiver does with it.
    pub(super) fn claims(&self) -> Vec<String> {
        let claims = self.0.last_of_each();
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
                self.0
                    .judgements(&row[0])
                    .map(|(receiver, standing, words)| format!("{:name$}  {standing}: {receiver}: {words}", "")),
            );
        }
        // What the receiver misses has no row.
        for step in self.0.steps {
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
        let Some((stage, failure)) = self.0.failed() else { return Vec::new() };
        let error = failure.error().map(|error| format!(" {error}")).unwrap_or_default();
        vec![
            format!("{}: {}", self.0.outcome.response.status(), failure.words()),
            format!("  step    {stage}"),
            format!("  answer  {}{error}: {}", failure.status().as_u16(), failure.row()),
            format!("  do      {}", failure.remedy()),
        ]
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
