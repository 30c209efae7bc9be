//! What two versions of a rule make of the same case.

use serde_json::Value;

use crate::core::{Answered, Fault, Verdict, kind_of_value};

/// What an edit of a rule changes in one case.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Both answer the same.
    Same,
    /// One asks for what the case does not answer, or cannot be asked at all.
    Incomparable(String),
    /// They answer differently.
    Different {
        /// Claim by claim.
        claims: Vec<Changed>,
        /// Status and error code, if they differ.
        answer: Option<(String, String)>,
    },
}

/// A claim that differs; values as JSON.
#[derive(Debug, PartialEq)]
pub(crate) struct Changed {
    /// Its name.
    pub(crate) name: String,
    /// What it was.
    pub(crate) old: Option<String>,
    /// What it is now.
    pub(crate) new: Option<String>,
    /// The types, if they differ.
    pub(crate) kinds: Option<(&'static str, &'static str)>,
}

impl Outcome {
    /// What the verdicts of two versions on one case come to.
    pub(crate) fn of(old: &Verdict, new: &Verdict) -> Outcome {
        for (side, verdict) in [("the old rule", old), ("the new rule", new)] {
            let why = verdict.faults.iter().find_map(|fault| match fault {
                Fault::Unanswered { request, .. } => {
                    Some(format!("{side} asks for {request}, which it does not answer"))
                }
                Fault::Rule(why) => Some(format!("{side}, with its vars: {why}")),
                _ => None,
            });
            if let Some(why) = why {
                return Outcome::Incomparable(why);
            }
        }
        match (&old.answered, &new.answered) {
            (Some(old), Some(new)) if old == new => Outcome::Same,
            (Some(Answered::Claims(old)), Some(Answered::Claims(new))) => {
                let claims = changed(old, new);
                // The same claims in another order are the same.
                if claims.is_empty() { Outcome::Same } else { Outcome::Different { claims, answer: None } }
            }
            (Some(old), Some(new)) => {
                let claims = |answered: &Answered| match answered {
                    Answered::Claims(claims) => claims.clone(),
                    Answered::Error { .. } => Vec::new(),
                };
                let answer = Some((old.words(), new.words()));
                Outcome::Different { claims: changed(&claims(old), &claims(new)), answer }
            }
            _ => Outcome::Incomparable("no request can be made of it".into()),
        }
    }
}

fn changed(old: &[(String, Value)], new: &[(String, Value)]) -> Vec<Changed> {
    let of = |claims: &'_ [(String, Value)], name: &str| {
        claims.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let more = new.iter().filter(|(name, _)| of(old, name).is_none());
    let names = old.iter().chain(more).map(|(name, _)| name);
    let pairs = names.map(|name| (name, of(old, name), of(new, name)));
    pairs
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| {
            let kinds = old.as_ref().zip(new.as_ref()).map(|(old, new)| (kind_of_value(old), kind_of_value(new)));
            Changed {
                name: name.clone(),
                old: old.map(|value| value.to_string()),
                new: new.map(|value| value.to_string()),
                kinds: kinds.filter(|(old, new)| old != new),
            }
        })
        .collect()
}
