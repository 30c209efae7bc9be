//! One evaluation as one JSON document: the answer, the claims, the failure, the steps.

use serde_json::{Value, json};

use crate::core::{
    CompiledRule, Failure, Outcome, Step,
    trace::{self, Call, Claim, Stage},
};

/// Everything that is told of an evaluation.
pub(crate) struct Report<'a> {
    pub(crate) rule: &'a CompiledRule,
    pub(crate) outcome: &'a Outcome,
    pub(crate) steps: &'a [Step],
    /// The body of the answer, without what nobody may see.
    pub(crate) body: String,
}

impl Report<'_> {
    /// All of it in one document.
    pub(crate) fn json(&self) -> Value {
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
            "longest_way": longest_way(self.steps),
        })
    }

    /// The step at which it failed. When the time was spent that is a call which has no answer yet.
    pub(crate) fn failed(&self) -> Option<(Stage, &Failure)> {
        let failure = self.outcome.failure.as_ref()?;
        let open = self
            .steps
            .iter()
            .rev()
            .find(|step| matches!(step, Step::Call(call) if call.outcome == trace::Outcome::Unanswered));
        let stage = open.filter(|_| matches!(failure, Failure::Deadline)).map(Step::stage);
        Some((stage.unwrap_or_else(|| failure.stage()), failure))
    }

    /// What was said last of each claim, in the order in which they came up.
    pub(crate) fn last_of_each(&self) -> Vec<&Claim> {
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

    pub(crate) fn judgements<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (&'static str, &'s str, &'s str)> {
        self.steps.iter().filter_map(move |step| match step {
            Step::Judgement { receiver, claim, standing, words } if claim == name => {
                Some((*receiver, &**standing, &**words))
            }
            _ => None,
        })
    }
}

pub(crate) fn as_call(step: &Step) -> Option<&Call> {
    match step {
        Step::Call(call) => Some(call),
        _ => None,
    }
}

/// The calls that decided how long it took, in the order in which they ran.
pub(crate) fn longest_way(steps: &[Step]) -> Vec<&str> {
    critical_path(&steps.iter().filter_map(as_call).collect::<Vec<_>>())
}

/// The calls that decided how long it took: the last to end, the one that this waited for, and so on.
pub(crate) fn critical_path<'c>(calls: &[&'c Call]) -> Vec<&'c str> {
    let end = |name: &str| {
        let own = calls.iter().filter(|call| call.name == name);
        own.filter_map(|call| Some((call.time?.1, *call))).max_by_key(|(end, _)| *end)
    };
    let last = calls.iter().filter_map(|call| Some((call.time?.1, *call))).max_by_key(|(end, _)| *end);
    let mut path = Vec::new();
    let mut next = last.map(|(_, call)| call);
    while let Some(call) = next.filter(|call| !path.contains(&&*call.name)) {
        path.push(&*call.name);
        next = call.after.iter().filter_map(|name| end(name)).max_by_key(|(end, _)| *end).map(|(_, call)| call);
    }
    path.reverse();
    path
}
