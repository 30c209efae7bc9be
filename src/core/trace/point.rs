//! What of a rule can be reached or left out by a case: the points that coverage counts.

use std::collections::HashSet;

use super::{Asking, Outcome, Step, Way};
use crate::core::problem::Place;

/// Something in a rule that an evaluation comes past, or does not.
#[derive(Clone, Debug)]
pub struct Point {
    /// What it is.
    pub kind: PointKind,
    /// Where it stands.
    pub place: Place,
    /// What is not shown by any case that leaves it out.
    pub words: String,
}

/// What has to happen for a point to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointKind {
    /// A claim gets its value from this path, text, expression or constant; an `include` copies something.
    Value,
    /// A `default` stands in.
    Default,
    /// A condition is asked, and holds or does not.
    Condition(Asking, bool),
    /// An optional call fails, and the answer goes on without it.
    GivenUp,
    /// A statement of the script runs.
    Statement,
}

impl PointKind {
    /// The name that programs see.
    pub fn name(self) -> &'static str {
        match self {
            PointKind::Value => "value",
            PointKind::Default => "default",
            PointKind::Condition(Asking::When, true) => "when-true",
            PointKind::Condition(Asking::When, false) => "when-false",
            PointKind::Condition(Asking::Until, true) => "until-true",
            PointKind::Condition(Asking::Until, false) => "until-false",
            PointKind::Condition(Asking::FailWhen, _) => "fail-when",
            PointKind::Condition(Asking::Require, _) => "require",
            PointKind::GivenUp => "optional",
            PointKind::Statement => "statement",
        }
    }
}

/// What evaluations came past.
#[derive(Clone, Debug, Default)]
pub struct Reached(HashSet<(PointKind, String, usize, usize)>);

impl Reached {
    /// Notes what the steps of an evaluation came past.
    pub fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Condition(condition) => {
                    self.note(PointKind::Condition(condition.asking, condition.holds), &condition.place);
                }
                Step::Call(call) if matches!(call.outcome, Outcome::GivenUp(_)) => {
                    self.note(PointKind::GivenUp, &call.place);
                }
                Step::Claim(claim) => {
                    let kind = match claim.from.way {
                        Way::Path | Way::Text | Way::Expression | Way::Constant | Way::Joined | Way::Include(_) => {
                            PointKind::Value
                        }
                        Way::Default => PointKind::Default,
                        Way::Script { .. } | Way::Contract | Way::Truncated | Way::Absent | Way::Removed => continue,
                    };
                    claim.from.place.iter().chain(&claim.from.parts).for_each(|place| self.note(kind, place));
                }
                _ => {}
            }
        }
    }

    /// Notes that a statement ran.
    pub fn statement(&mut self, place: &Place) {
        self.note(PointKind::Statement, place);
    }

    /// Notes what others came past.
    pub fn extend(&mut self, other: &Reached) {
        self.0.extend(other.0.iter().cloned());
    }

    /// True if one of them came past a point.
    pub fn holds(&self, point: &Point) -> bool {
        self.0.contains(&key(point.kind, &point.place))
    }

    fn note(&mut self, kind: PointKind, place: &Place) {
        self.0.insert(key(kind, place));
    }
}

/// Rules are compiled once for every case, so a place is known by its text's name and its bytes.
fn key(kind: PointKind, place: &Place) -> (PointKind, String, usize, usize) {
    (kind, place.source.name.clone(), place.span.start, place.span.end)
}
