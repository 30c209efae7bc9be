//! The guards: all must hold, or the answer is the error that the guard names.

use super::{
    denial::Denial,
    facts::Facts,
    problem::Problems,
    rule::{self, Rule},
    trace::{Asking, Point, Trace},
    value::{self, Condition, Known, Memory, Mentions},
};

/// All guards of a rule, in order.
#[derive(Debug, Default)]
pub struct Plan {
    guards: Vec<Guard>,
}

#[derive(Debug)]
struct Guard {
    that: Condition,
    denial: Denial,
    reason: String,
}

/// A guard that does not hold, or could not be asked.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It does not hold.
    Denied(Denial, String),
    /// Its expression failed.
    Value(value::Failure),
}

/// Compiles `[[require]]`. `None` if there was a problem.
pub fn compile(rule: &Rule, known: &Known<'_>, problems: &mut Problems) -> Option<Plan> {
    let mut guards = Vec::new();
    for guard in &rule.require {
        let that = Condition::compile(&rule.source, &guard.that, Asking::Require, None, known, problems);
        let denial = rule::denial(&rule.source, &guard.error, problems);
        if let (Some(that), Some(denial)) = (that, denial) {
            let reason = guard.reason.as_ref().map_or(denial.reason(), |reason| &reason.value).to_owned();
            guards.push(Guard { that, denial, reason });
        }
    }
    (guards.len() == rule.require.len()).then_some(Plan { guards })
}

impl Plan {
    /// What the guards read.
    pub fn mentions(&self) -> Mentions {
        let mut mentions = Mentions::default();
        self.guards.iter().for_each(|guard| guard.that.mentions(&mut mentions));
        mentions
    }

    /// What coverage asks of the guards: that each refuses.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        self.guards.iter().flat_map(|guard| guard.that.points())
    }

    /// What each guard reads, with its expression.
    pub fn readers(&self) -> impl Iterator<Item = (&str, Mentions)> {
        self.guards.iter().map(|guard| {
            let mut mentions = Mentions::default();
            guard.that.mentions(&mut mentions);
            (guard.that.text(), mentions)
        })
    }

    /// True if nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Asks the guards in order.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn run(&self, facts: &Facts<'_>, memory: &mut Memory, trace: Option<&Trace>) -> Result<(), Failure> {
        for guard in &self.guards {
            if !guard.that.holds(facts, memory, trace).map_err(Failure::Value)? {
                return Err(Failure::Denied(guard.denial, guard.reason.clone()));
            }
        }
        Ok(())
    }
}
