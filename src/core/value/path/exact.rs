//! A view of JSON in which filters compare integers exactly.
//!
//! jsonpath-rust compares all numbers as floats, so two 64-bit ids that differ
//! in their last digit are equal to it, and a filter on an id can pick another
//! person. It is generic over its document, though: in this one, an integer
//! above 2^53 is no float, so that comparing falls back to `PartialEq`, which is
//! exact. Ordering has no such way out; [`observe`] tells if it was tried.
//!
//! It also counts what is asked of it. When a query has asked for more than it may, the document is empty for it, so that
//! it comes to its end. For each node jsonpath-rust keeps a text of the way to it, so here members have no names when
//! they are listed: a name may be as long as an answer.

use std::{borrow::Cow, cell::Cell};

use jsonpath_rust::query::queryable::Queryable;
use serde_json::Value;

/// A JSON value that compares exactly.
#[derive(Clone, Debug, Default)]
pub(super) enum Exact {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Exact>),
    Object(Vec<(String, Exact)>),
}

/// A number with its digits.
#[derive(Clone, Debug)]
pub(super) enum Number {
    /// A float holds it exactly, or it is a fraction of ordinary size.
    Float(f64, String),
    /// An integer above 2^53.
    Integer(String),
    /// A fraction or exponent above 2^53, or one next to zero: no comparison can be trusted.
    Inexact(String),
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Number::Float(left, _), Number::Float(right, _)) => left == right,
            (Number::Integer(left), Number::Integer(right)) => left == right,
            (Number::Inexact(_), _) | (_, Number::Inexact(_)) => {
                // Inside lists and objects this is the only place that sees it.
                MET.set(Met { inexact: true, ..MET.get() });
                false
            }
            _ => false,
        }
    }
}

/// What comparisons met while a query ran.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) big_integer: bool,
    pub(super) inexact: bool,
    /// It asked for more than it may.
    pub(super) spent: bool,
}

/// Nodes that one query may be handed, one after another: in a document of ordinary depth a node costs one.
const BUDGET: usize = 400_000;
/// Levels of a document for which a node costs one more: the way to it is longer.
const LEVELS: usize = 4;
/// Bytes of a text for which handing it out costs one more.
const BYTES: usize = 16;

thread_local! {
    // The crate's comparison sees two values and nothing else, so there is no
    // other way for it to report back; a query runs on one thread from start to end.
    static MET: Cell<Met> = const { Cell::new(Met { big_integer: false, inexact: false, spent: false }) };
    /// What is left of the budget, what a node costs, and what a text costs besides its length.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static NODE: Cell<usize> = const { Cell::new(1) };
    static TEXT: Cell<usize> = const { Cell::new(0) };
}

/// Runs a query on a document and tells what it met. Handing out a text costs `search` besides.
pub(super) fn observe<T>(document: &Exact, search: usize, query: impl FnOnce() -> T) -> (T, Met) {
    MET.set(Met::default());
    LEFT.set(BUDGET);
    NODE.set(1 + document.depth() / LEVELS);
    TEXT.set(search);
    let result = query();
    (result, MET.get())
}

/// True if these have no more values than a query may be handed: those that it selects many times over are copied as often.
pub(super) fn may_be_copied<'e>(mut nodes: impl Iterator<Item = &'e Exact>) -> bool {
    let mut left = BUDGET;
    nodes.all(|node| node.fits(&mut left))
}

/// Takes this much of the budget. False if it is spent.
fn spend(cost: usize) -> bool {
    match LEFT.get().checked_sub(cost) {
        Some(left) => {
            LEFT.set(left);
            true
        }
        None => {
            LEFT.set(0);
            MET.set(Met { spent: true, ..MET.get() });
            false
        }
    }
}

fn spend_nodes(count: usize) -> bool {
    spend(count.saturating_mul(NODE.get()))
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        // A large value may be compared once for each node.
        spend(1)
            && match (self, other) {
                (Exact::Null, Exact::Null) => true,
                (Exact::Bool(left), Exact::Bool(right)) => left == right,
                (Exact::Number(left), Exact::Number(right)) => left == right,
                (Exact::Text(left), Exact::Text(right)) => left == right && spend(left.len() / BYTES),
                (Exact::Array(left), Exact::Array(right)) => left == right,
                (Exact::Object(left), Exact::Object(right)) => left == right,
                _ => false,
            }
    }
}

/// 2^900. The crate takes floats for equal that differ by less than `f64::EPSILON`; times this, no two
/// different ones are so close, and none up to 2^53 overflows. A power of two keeps their digits.
const APART: f64 = f64::from_bits((1023 + 900) << 52);

impl Number {
    fn new(text: String) -> Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        const TINY: f64 = 1e-240;
        let float = text.parse::<f64>().unwrap_or(f64::INFINITY);
        if float != 0.0 && float.abs() < TINY {
            Number::Inexact(text)
        } else if float.abs() <= EXACT && (float.abs() < EXACT || text.trim_start_matches('-') == "9007199254740992") {
            Number::Float(float, text)
        } else if text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
            Number::Integer(text)
        } else {
            Number::Inexact(text)
        }
    }

    fn digits(&self) -> &str {
        match self {
            Number::Float(_, text) | Number::Integer(text) | Number::Inexact(text) => text,
        }
    }
}

impl Exact {
    /// An object of parts of the document, whose names differ.
    pub(super) fn object<'a>(parts: impl Iterator<Item = (&'a str, &'a Value)>) -> Self {
        Exact::Object(parts.map(|(name, value)| (name.to_owned(), Exact::from(value))).collect())
    }

    /// Takes its values off what is left; false if they are more.
    fn fits(&self, left: &mut usize) -> bool {
        let own = match self {
            Exact::Text(text) => 1 + text.len() / BYTES,
            _ => 1,
        };
        let Some(rest) = left.checked_sub(own) else { return false };
        *left = rest;
        match self {
            Exact::Array(items) => items.iter().all(|item| item.fits(left)),
            Exact::Object(members) => members.iter().all(|(_, value)| value.fits(left)),
            _ => true,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Exact::Array(items) => 1 + items.iter().map(Exact::depth).max().unwrap_or_default(),
            Exact::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or_default(),
            _ => 0,
        }
    }
}

impl From<&Value> for Exact {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Exact::Null,
            Value::Bool(flag) => Exact::Bool(*flag),
            Value::Number(number) => Exact::Number(Number::new(number.to_string())),
            Value::String(text) => Exact::Text(text.clone()),
            Value::Array(items) => Exact::Array(items.iter().map(Exact::from).collect()),
            Value::Object(members) => {
                Exact::Object(members.iter().map(|(name, value)| (name.clone(), Exact::from(value))).collect())
            }
        }
    }
}

impl From<&Exact> for Value {
    fn from(value: &Exact) -> Self {
        match value {
            Exact::Null => Value::Null,
            Exact::Bool(flag) => Value::Bool(*flag),
            Exact::Number(number) => number.digits().parse().map_or(Value::Null, Value::Number),
            Exact::Text(text) => Value::String(text.clone()),
            Exact::Array(items) => items.iter().map(Value::from).collect(),
            Exact::Object(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), Value::from(value))).collect())
            }
        }
    }
}

impl Queryable for Exact {
    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            // They come sorted.
            Exact::Object(members) if spend_nodes(1) => {
                let at = members.binary_search_by(|(name, _)| name.as_str().cmp(key)).ok()?;
                Some(&members[at].1)
            }
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&Vec<Self>> {
        match self {
            Exact::Array(items) => spend_nodes(items.len() + 1).then_some(items),
            _ => None,
        }
    }

    fn as_object(&self) -> Option<Vec<(&str, &Self)>> {
        match self {
            Exact::Object(members) if spend_nodes(members.len() + 1) => {
                Some(members.iter().map(|(_, value)| ("", value)).collect())
            }
            _ => None,
        }
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Exact::Text(text) => spend(TEXT.get() + text.len() / BYTES).then_some(text),
            _ => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        None
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Exact::Number(Number::Float(float, _)) => Some(*float * APART),
            Exact::Number(Number::Integer(_)) => {
                MET.set(Met { big_integer: true, ..MET.get() });
                None
            }
            Exact::Number(Number::Inexact(_)) => {
                MET.set(Met { inexact: true, ..MET.get() });
                None
            }
            _ => None,
        }
    }

    fn as_bool(&self) -> Option<bool> {
        match self {
            Exact::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    fn null() -> Self {
        Exact::Null
    }

    fn extension_custom(_name: &str, _args: Vec<Cow<'_, Self>>) -> Self {
        Exact::Null
    }
}

impl From<&str> for Exact {
    fn from(text: &str) -> Self {
        Exact::Text(text.to_owned())
    }
}

impl From<String> for Exact {
    fn from(text: String) -> Self {
        Exact::Text(text)
    }
}

impl From<bool> for Exact {
    fn from(flag: bool) -> Self {
        Exact::Bool(flag)
    }
}

impl From<i64> for Exact {
    fn from(number: i64) -> Self {
        Exact::Number(Number::new(number.to_string()))
    }
}

impl From<f64> for Exact {
    fn from(number: f64) -> Self {
        Exact::Number(Number::new(number.to_string()))
    }
}

impl From<Vec<Exact>> for Exact {
    fn from(items: Vec<Exact>) -> Self {
        Exact::Array(items)
    }
}
