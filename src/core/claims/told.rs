//! What a trace is told of claims. Where nobody looks on, nothing of this is made.

use serde_json::Value;

use super::{Claims, kinds};
use crate::core::{
    trace::{Claim, Provenance, Step, Trace, Way},
    value::{self, Taken},
};

/// A claim that is being made, while somebody looks on.
pub(super) struct Told<'t> {
    trace: &'t Trace,
    from: Provenance,
    /// The value before it was converted.
    raw: Value,
}

impl<'t> Told<'t> {
    /// A value was taken for a claim.
    pub(super) fn taken(trace: Option<&'t Trace>, taken: &Taken<'_, '_>) -> Option<Self> {
        let trace = trace?;
        Some(Told { trace, from: taken.trail.provenance(), raw: (*taken.value).clone() })
    }

    /// A member of an included object becomes a claim.
    pub(super) fn included(
        trace: Option<&'t Trace>,
        path: &value::Path,
        place: &crate::core::problem::Place,
        (name, value): (&str, &Value),
    ) -> Option<Self> {
        let from = Provenance {
            text: path.text().to_owned(),
            place: Some(place.clone()),
            ..Provenance::new(Way::Include(name.to_owned()))
        };
        Some(Told { trace: trace?, from, raw: value.clone() })
    }

    /// These claims were made of it.
    pub(super) fn became(self, claims: &Claims<'_>) {
        for (name, value) in claims {
            let conversion = kinds::conversion(&self.raw, value);
            let from = Provenance { conversion, ..self.from.clone() };
            self.trace.add(step(name, Some(value), from));
        }
    }
}

/// Nothing gave a claim a value.
pub(super) fn absent(trace: Option<&Trace>, name: &str, value: &value::Plan) {
    if let Some(trace) = trace {
        trace.add(step(name, None, value.absence()));
    }
}

/// A claim says that a list was cut short.
pub(super) fn truncated(trace: Option<&Trace>, name: &str) {
    if let Some(trace) = trace {
        trace.add(step(name, Some(&Value::Bool(true)), Provenance::new(Way::Truncated)));
    }
}

fn step(name: &str, value: Option<&Value>, from: Provenance) -> Step {
    Step::Claim(Claim { name: name.to_owned(), value: value.cloned(), from })
}
