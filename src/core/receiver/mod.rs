//! Who reads the answer, and what that reader insists on: one contract a receiver.
//!
//! A contract is a file under `contracts/`. It is kept three times: `check` looks at a rule when it is
//! loaded, [`Plan::keep`] at the claims of each answer, and [`Contract::judge`] tells people what the
//! receiver would make of claims. A rule without `receiver` meets nothing of this.

mod check;
mod contracts;
mod plan;

use std::{borrow::Cow, fmt, time::Duration};

use serde_json::Value;

use self::contracts::{Absent, EmptyText, Lists};
pub use self::{
    check::{check, find},
    contracts::{Errors, Trust, all},
    plan::{Failure, Plan},
};
use super::claims::Kind;

/// What a receiver insists on.
#[derive(Debug)]
pub struct Contract {
    /// The name that a rule uses.
    pub name: &'static str,
    /// The name of the product.
    pub title: String,
    /// How far it is to be trusted.
    pub trust: Trust,
    /// How long the receiver waits for an answer, if that is known.
    waits: Option<Duration>,
    errors: Errors,
    absent: Absent,
    empty_text: EmptyText,
    lists: Lists,
    /// The claims that it takes for the user, in the order in which it looks; any for none.
    identifies: Vec<String>,
    /// The longest value, in characters.
    max_text: Option<usize>,
    /// The largest body, in bytes.
    max_body: Option<usize>,
    /// What it does with more.
    too_long: String,
    /// What becomes of objects, if they are not read.
    flat: Option<String>,
    /// What becomes of false, 0 and an empty text, if they are dropped.
    drops: Option<String>,
    terms: Vec<Term>,
    others: Others,
}

/// What is said of one claim.
#[derive(Debug)]
struct Term {
    name: String,
    /// What it should be, and what we make of it.
    kind: Kind,
    /// What is read as well.
    also: Vec<Kind>,
    /// What is read, with a loss.
    doubtful: Vec<(Kind, String)>,
    /// It must be there; what happens without it.
    required: Option<String>,
    /// It had better be there; what happens without it.
    wanted: Option<String>,
    /// What happens if it has another type.
    otherwise: String,
    /// The longest text, in characters.
    max: Option<usize>,
    ascii: bool,
    /// A number must be a 64-bit integer.
    int64: bool,
}

/// What is said of all other claims.
#[derive(Debug)]
enum Others {
    /// They are read as they are.
    Any,
    /// They are not read.
    Unread(String),
    /// They should have this type; what happens otherwise.
    Kind(Kind, String),
}

/// How a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The receiver reads it.
    Ok,
    /// It is lost or bent.
    Warn,
    /// The login fails, or another user logs in.
    Fail,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Standing::Ok => "ok",
            Standing::Warn => "warn",
            Standing::Fail => "fail",
        })
    }
}

/// What the receiver would make of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The claim.
    pub claim: String,
    /// How it stands.
    pub standing: Standing,
    /// What the receiver does with it; never its value.
    pub words: String,
}

impl Contract {
    /// True for a claim that it has something to say of by name.
    pub fn names(&self, claim: &str) -> bool {
        self.terms.iter().any(|term| term.name == claim)
    }

    /// The contract with this name.
    pub fn find(name: &str) -> Option<&'static Contract> {
        all().iter().find(|contract| contract.name == name)
    }

    /// When an answer must be there: a little before the receiver hangs up.
    pub fn deadline(&self) -> Option<Duration> {
        self.waits.map(|waits| waits / 10 * 9)
    }

    /// The claims that it takes for the user, in the order in which it looks; none if that is set there.
    pub fn identifies(&self) -> &[String] {
        &self.identifies
    }

    /// What stands in the body of an error.
    pub fn errors(&self) -> Errors {
        self.errors
    }

    /// The types that claims get if the rule gives none. The one that identifies the user is text everywhere
    /// else too: a number may be read as a double.
    pub fn kinds(&self, subject: &str) -> Vec<(String, Kind)> {
        let named = self.terms.iter().map(|term| (term.name.clone(), term.kind));
        let subject = self.term(subject).is_none().then(|| (subject.to_owned(), Kind::String));
        named.chain(subject).collect()
    }

    /// What the receiver would make of these claims, one by one; what is missing comes last.
    pub fn judge<'c>(&self, claims: impl IntoIterator<Item = (&'c str, &'c Value)>) -> Vec<Judgement> {
        let judgement = |claim: &str, standing, words| Judgement { claim: claim.to_owned(), standing, words };
        let (mut judgements, mut present) = (Vec::new(), Vec::new());
        for (name, value) in claims.into_iter().filter(|(_, value)| !value.is_null()) {
            present.push(name);
            judgements.push(match self.look(name, value) {
                Some((standing, words)) => judgement(name, standing, words.into_owned()),
                None => judgement(name, Standing::Ok, self.reads(name)),
            });
        }
        let absent = |term: &&Term| !present.contains(&&*term.name);
        for term in self.terms.iter().filter(absent) {
            let missing = [(&term.required, Standing::Fail), (&term.wanted, Standing::Warn)];
            let missing = missing.into_iter().filter_map(|(why, standing)| Some((why.as_ref()?, standing)));
            judgements
                .extend(missing.map(|(why, standing)| judgement(&term.name, standing, format!("it is absent: {why}"))));
        }
        let identified = self.identifies.iter().any(|name| present.contains(&&**name));
        if let (false, Some(first)) = (identified, self.identifies.first()) {
            judgements.push(judgement(first, Standing::Fail, "it is absent: nothing says who the user is".into()));
        }
        judgements
    }

    /// The claims that it says something of.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|term| term.name.as_str())
    }

    /// What it says of a claim, in words.
    pub fn says(&self, name: &str) -> String {
        let Some(term) = self.term(name) else {
            return match &self.others {
                Others::Unread(why) => format!("not read: {why}"),
                _ => self.reads(name),
            };
        };
        let mut words = self.reads(name);
        for (what, why) in [("it must be there", &term.required), ("it had better be there", &term.wanted)] {
            words.extend(why.iter().map(|why| format!("; {what}, or {why}")));
        }
        format!("{words}; of another type: {}", term.otherwise)
    }

    fn term(&self, name: &str) -> Option<&Term> {
        self.terms.iter().find(|term| term.name == name)
    }

    /// What is wrong with a claim; `None` if nothing is.
    fn look(&self, name: &str, value: &Value) -> Option<(Standing, Cow<'_, str>)> {
        let fail = |words: String| Some((Standing::Fail, Cow::Owned(words)));
        let empty = matches!(value, Value::String(text) if text.is_empty());
        let term = self.term(name);
        if let Some(term) = term {
            match &term.required {
                Some(why) if empty => return fail(format!("it is empty: {why}")),
                _ => {}
            }
            if let Some(fault) = term.look(value).filter(|_| !(empty && self.absent == Absent::EmptyText)) {
                return Some(fault);
            }
        }
        match &self.flat {
            Some(why) if value.is_object() => return fail(format!("it is an object: {why}")),
            _ => {}
        }
        match self.max_text {
            Some(max) if length(value) > max => {
                return fail(format!("it is longer than {max} characters: {}", self.too_long));
            }
            _ => {}
        }
        match &self.drops {
            Some(why) if is_falsy(value) => return Some((Standing::Warn, Cow::Borrowed(why))),
            _ => {}
        }
        match &self.others {
            Others::Unread(why) if term.is_none() => Some((Standing::Warn, Cow::Borrowed(why))),
            Others::Kind(kind, why) if term.is_none() && !kind.holds(value) => {
                Some((Standing::Warn, format!("it is not {}: {why}", kind.words()).into()))
            }
            _ => None,
        }
    }

    /// What a claim is read as, in words.
    fn reads(&self, name: &str) -> String {
        match (self.term(name), &self.others) {
            (Some(term), _) => format!("read as {}", term.reads()),
            (None, Others::Kind(kind, _)) => format!("read as {}", kind.words()),
            (None, _) => "read as it is".into(),
        }
    }
}

impl Term {
    fn look(&self, value: &Value) -> Option<(Standing, Cow<'_, str>)> {
        let words = |what: &str, why: &str| Cow::Owned(format!("it is {what}: {why}"));
        let fail = |what: &str| Some((Standing::Fail, words(what, &self.otherwise)));
        if !self.kind.holds(value) && !self.also.iter().any(|kind| kind.holds(value)) {
            return match self.doubtful.iter().find(|(kind, _)| kind.holds(value)) {
                Some((kind, why)) => Some((Standing::Warn, words(kind.words(), why))),
                None => fail(&format!("not {}", self.reads())),
            };
        }
        match value {
            Value::Number(number) if self.int64 && number.as_i64().is_none() => fail("no integer of 64 bits"),
            Value::String(text) if self.ascii && !text.is_ascii() => fail("not all ASCII"),
            Value::String(_) => match self.max {
                Some(max) if length(value) > max => fail(&format!("longer than {max} characters")),
                _ => None,
            },
            _ => None,
        }
    }

    fn reads(&self) -> String {
        let kinds = std::iter::once(&self.kind).chain(&self.also);
        kinds.map(|kind| kind.words()).collect::<Vec<_>>().join(" or ")
    }
}

/// How long a value is, in characters.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Number(number) => number.as_str().len(),
        Value::Array(items) => items.iter().map(length).sum(),
        Value::Null | Value::Bool(_) | Value::Object(_) => 0,
    }
}

fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => false,
    }
}
