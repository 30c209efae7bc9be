//! A condition of a rule: an expression that decides, and a place to name where people look on.

use super::{Expression, Failure, Known, Memory, Mentions, Offer, Spot};
use crate::core::{
    facts::Facts,
    problem::{Place, Problems, Source},
    rule::Text,
    trace::{self, Asking, Point, PointKind, Step, Trace},
};

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    expression: Expression,
    asking: Asking,
    /// The call that it stands in.
    call: Option<Box<str>>,
    place: Place,
}

impl Condition {
    /// Compiles a condition, which stands in a call if one is named.
    pub fn compile(
        source: &std::sync::Arc<Source>,
        text: &Text,
        asking: Asking,
        call: Option<&str>,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let spot = Spot::text(source, text);
        let expression = Expression::compile(&spot, &text.value, Offer::Document, known, problems)?;
        let place = Place { source: source.clone(), span: text.span.clone() };
        Some(Condition { expression, asking, call: call.map(Box::from), place })
    }

    /// Adds what it reads.
    pub fn mentions(&self, mentions: &mut Mentions) {
        self.expression.mentions(mentions);
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        self.expression.text()
    }

    /// What coverage asks of it: of `when` and `until` that both happens, of the others that they end the request.
    pub fn points(&self) -> Vec<Point> {
        let text = self.text().split_whitespace().collect::<Vec<_>>().join(" ");
        let call = self.call.as_deref().map(|call| format!("[call.{call}] ")).unwrap_or_default();
        let key = self.asking.key();
        let point = |holds: bool, words: String| Point {
            kind: PointKind::Condition(self.asking, holds),
            place: self.place.clone(),
            words,
        };
        match self.asking {
            Asking::When | Asking::Until => vec![
                point(true, format!("{call}`{key}` never holds: `{text}`")),
                point(false, format!("{call}`{key}` never fails to hold: `{text}`")),
            ],
            Asking::FailWhen => vec![point(true, format!("{call}`{key}` never finds this error: `{text}`"))],
            Asking::Require => vec![point(false, format!("`{key}` never refuses: `{text}`"))],
        }
    }

    /// Whether it holds; absent is false.
    pub fn holds(&self, facts: &Facts<'_>, memory: &mut Memory, trace: Option<&Trace>) -> Result<bool, Failure> {
        let holds = self.expression.holds(facts, memory)?;
        if let Some(trace) = trace {
            trace.add(Step::Condition(trace::Condition {
                asking: self.asking,
                call: self.call.as_deref().map(str::to_owned),
                text: self.expression.text().to_owned(),
                place: self.place.clone(),
                holds,
            }));
        }
        Ok(holds)
    }
}
