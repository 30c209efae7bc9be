//! What is known so far: the document that paths and scripts read.
//!
//! The document is one JSON object: a member for each call by its name, `meta`, `vars`
//! and `request`. It is kept in parts, so that a part can be read while the
//! others are still on their way, and so that nothing is copied to build it.

mod shape;
mod skim;
mod weight;

use serde_json::Value;

pub use shape::{Kept, Part, Shape};

/// A top-level member of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    /// The answer of the call with this number, counted in the order of the rule.
    Call(usize),
    /// The rule's `[vars]` with the operator's values.
    Vars,
    /// The caller's request: method, rule, and the headers and query that the rule lists.
    Request,
    /// Status and headers of the calls' answers.
    Meta,
    /// The value that a call with `each` is being made for.
    Each,
    /// The claims of the caller's token, once it is verified.
    Token,
}

/// The document of one request.
#[derive(Debug)]
pub struct Facts<'r> {
    /// What is read of each call's answer, and what is there.
    calls: Vec<(&'r Shape, Kept)>,
    vars: &'r Value,
    request: Value,
    meta: Value,
    each: Value,
    token: Value,
    /// Claims that say of a list that it was cut short.
    marks: Vec<&'r str>,
}

impl<'r> Facts<'r> {
    /// A document in which no call is answered yet; `shapes` has what is read of each call.
    pub fn new(shapes: impl Iterator<Item = &'r Shape>, vars: &'r Value, request: Value) -> Self {
        let calls = shapes.map(|shape| (shape, Kept::Absent)).collect();
        Facts { calls, vars, request, meta: Value::Null, each: Value::Null, token: Value::Null, marks: Vec::new() }
    }

    /// Notes a call's answer, kept by the call's shape. A null for one that was skipped or given up.
    pub fn answer(&mut self, call: usize, kept: Kept) {
        self.calls[call].1 = kept;
    }

    /// Takes a call's answer out of the document again.
    pub fn take(&mut self, call: usize) -> Kept {
        std::mem::replace(&mut self.calls[call].1, Kept::Absent)
    }

    /// Notes what is said of a call's answer besides its body.
    pub fn answer_meta(&mut self, call: &str, meta: Value) {
        if let Value::Null = self.meta {
            self.meta = Value::Object(serde_json::Map::new());
        }
        self.meta[call] = meta;
    }

    /// Notes what is known of the caller's token.
    pub fn verified(&mut self, claims: serde_json::Map<String, Value>) {
        self.token = claims.into();
    }

    /// Sets the value that a call is being made for.
    pub fn for_each(&mut self, value: Value) {
        self.each = value;
    }

    /// Notes that a list was cut short, by the claim that is to say so.
    pub fn mark(&mut self, claim: &'r str) {
        self.marks.push(claim);
    }

    /// The claims that say that a list was cut short.
    pub fn marks(&self) -> &[&'r str] {
        &self.marks
    }

    /// A part of the document; `None` for a call that has no answer (yet).
    pub fn get(&self, root: Root) -> Option<Part<'_>> {
        match root {
            Root::Call(number) => {
                let (shape, kept) = &self.calls[number];
                Part::of(shape, kept)
            }
            Root::Vars => Some(Part::Whole(self.vars)),
            Root::Request => Some(Part::Whole(&self.request)),
            Root::Meta => Some(Part::Whole(&self.meta)),
            Root::Each => Some(Part::Whole(&self.each)),
            Root::Token => Some(Part::Whole(&self.token)),
        }
    }

    /// The value that members lead to from a part of the document. They must be among those by which
    /// the shape of an answer was widened, or lead on from there: only then is the value kept whole.
    pub fn walk<'s>(&self, root: Root, members: impl IntoIterator<Item = &'s str>) -> Option<&Value> {
        let part = members.into_iter().try_fold(self.get(root)?, Part::member)?;
        part.whole()
    }
}
