//! A rule's contract while requests come: the claims get their shape, and none leaves that would be refused.

use std::borrow::Cow;

use serde_json::Value;

use super::{Absent, Contract, EmptyText, Judgement, Lists, Standing, length};
use crate::core::{
    claims::Claims,
    rule::{Rule, Written},
    trace::{Claim, Provenance, Step, Trace, Way},
};

/// The contract of a rule, ready to be kept.
#[derive(Debug)]
pub struct Plan {
    contract: &'static Contract,
    subject: String,
    /// The claims of the rule, in its order.
    declared: Vec<String>,
}

impl Plan {
    /// A rule's contract.
    pub fn new(contract: &'static Contract, rule: &Rule) -> Self {
        let one = |written: &Written| !matches!(written, Written::Options(options) if options.flatten.is_some());
        let declared = rule.claims.iter().filter(|(_, written)| one(written)).map(|(key, _)| key.name.clone());
        Plan { contract, subject: rule.subject_name().to_owned(), declared: declared.collect() }
    }

    /// The contract itself.
    pub fn contract(&self) -> &'static Contract {
        self.contract
    }

    /// Gives the claims the shape that the receiver reads, and makes sure that it can read them.
    ///
    /// # Errors
    /// The first claim that the receiver would refuse.
    pub fn keep<'f>(&'f self, claims: &mut Claims<'f>, trace: Option<&Trace>) -> Result<(), Failure> {
        let before = trace.map(|_| claims.clone());
        self.shape(claims)?;
        if let (Some(trace), Some(before)) = (trace, before) {
            tell(trace, &before, claims);
            let claims = claims.iter().map(|(name, value)| (&**name, &**value));
            for Judgement { claim, standing, words } in self.contract.judge(claims) {
                let standing = standing.to_string();
                trace.add(Step::Judgement { receiver: self.contract.name, claim, standing, words });
            }
        }
        for (name, value) in &*claims {
            if let Some((Standing::Fail, words)) = self.contract.look(name, value) {
                return Err(self.fail(name, words.into_owned()));
            }
        }
        let is_there = |name: &str| claims.iter().any(|(known, _)| known == name);
        for term in self.contract.terms.iter().filter(|term| !is_there(&term.name)) {
            if let Some(why) = &term.required {
                return Err(self.fail(&term.name, format!("it is absent: {why}")));
            }
        }
        match self.contract.identifies.iter().find(|name| is_there(name)) {
            Some(name) if *name != self.subject => {
                let words = format!("it is taken for the user, and `{}` identifies the user in the rule", self.subject);
                Err(self.fail(name, words))
            }
            None if !self.contract.identifies.is_empty() => {
                Err(self
                    .fail(&self.subject, "the receiver does not read it, and nothing else says who the user is".into()))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that the receiver takes a body of this many bytes.
    ///
    /// # Errors
    /// When it is too large; the claim is the largest.
    pub fn weigh(&self, claims: &Claims<'_>, body: usize) -> Result<(), Failure> {
        match self.contract.max_body {
            Some(max) if body > max => {
                let largest = claims.iter().max_by_key(|(_, value)| length(value)).map_or("", |(name, _)| name);
                let words =
                    format!("it is the largest, and all have more than {max} bytes: {}", self.contract.too_long);
                Err(self.fail(largest, words))
            }
            _ => Ok(()),
        }
    }

    fn shape<'f>(&'f self, claims: &mut Claims<'f>) -> Result<(), Failure> {
        if self.contract.lists == Lists::Joined {
            for (name, value) in claims.iter_mut() {
                if let Value::Array(items) = &**value {
                    let joined = join(items).ok_or_else(|| {
                        self.fail(name, "a text of this list has a comma, with which it would be joined".into())
                    })?;
                    *value = Cow::Owned(Value::String(joined));
                }
            }
        }
        if self.contract.empty_text == EmptyText::Omit {
            claims.retain(|(_, value)| !matches!(&**value, Value::String(text) if text.is_empty()));
        }
        if self.contract.absent == Absent::EmptyText {
            let mut next = 0;
            for name in &self.declared {
                next = 1 + match claims.iter().position(|(known, _)| known == name) {
                    Some(at) => at,
                    None => {
                        let next = next.min(claims.len());
                        claims.insert(next, (Cow::Borrowed(name), Cow::Owned(Value::String(String::new()))));
                        next
                    }
                };
            }
        }
        Ok(())
    }

    fn fail(&self, claim: &str, words: String) -> Failure {
        Failure { receiver: self.contract.name, claim: claim.to_owned(), words }
    }
}

/// Tells which claims got another form.
fn tell(trace: &Trace, before: &Claims<'_>, after: &Claims<'_>) {
    let add = |name: &str, value: Option<&Value>| {
        let from = Provenance::new(Way::Contract);
        trace.add(Step::Claim(Claim { name: name.to_owned(), value: value.cloned(), from }));
    };
    let is_in = |claims: &Claims<'_>, name: &str, value: Option<&Value>| {
        claims.iter().any(|(known, other)| known == name && value.is_none_or(|value| **other == *value))
    };
    for (name, value) in after.iter().filter(|(name, value)| !is_in(before, name, Some(value))) {
        add(name, Some(value));
    }
    for (name, _) in before.iter().filter(|(name, _)| !is_in(after, name, None)) {
        add(name, None);
    }
}

/// The elements with commas between them; `None` if that could not be taken apart again.
fn join(items: &[Value]) -> Option<String> {
    let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().filter(|text| !text.contains(','))).collect();
    texts.map(|texts| texts.join(","))
}

/// A contract that an answer cannot keep.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the receiver.
    pub receiver: &'static str,
    /// The claim.
    pub claim: String,
    /// What the receiver would do; never the claim's value.
    pub words: String,
}
