//! What is known so far: the document that paths and scripts read.
//!
//! The document is one JSON object: a member for each call by its name, `vars`
//! and `request`. It is kept in parts, so that a part can be read while the
//! others are still on their way, and so that nothing is copied to build it.

use serde_json::Value;

/// A top-level member of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    /// The answer of the call with this number, counted in the order of the rule.
    Call(usize),
    /// The rule's `[vars]` with the operator's values.
    Vars,
    /// The caller's request: method, rule, and the headers and query that the rule lists.
    Request,
}

/// The document of one request.
#[derive(Debug)]
pub struct Facts<'r> {
    calls: Vec<Option<Value>>,
    vars: &'r Value,
    request: Value,
}

impl<'r> Facts<'r> {
    /// A document in which no call is answered yet.
    pub fn new(calls: usize, vars: &'r Value, request: Value) -> Self {
        Facts { calls: vec![None; calls], vars, request }
    }

    /// Notes a call's answer. `Null` for one that was skipped or given up.
    pub fn answer(&mut self, call: usize, value: Value) {
        self.calls[call] = Some(value);
    }

    /// A part of the document; `None` for a call that has no answer (yet).
    pub fn get(&self, root: Root) -> Option<&Value> {
        match root {
            Root::Call(number) => self.calls[number].as_ref(),
            Root::Vars => Some(self.vars),
            Root::Request => Some(&self.request),
        }
    }
}
