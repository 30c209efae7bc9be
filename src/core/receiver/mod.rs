//! Who reads the answer, and what that reader insists on: one contract a receiver.
//!
//! A contract is a file under `contracts/`. It is kept three times: `check` looks at a rule when it is
//! loaded, [`Plan::keep`] at the claims of each answer, and [`Contract::judge`] tells people what the
//! receiver would make of claims. A rule without `receiver` meets nothing of this.

mod check;
mod contracts;

use std::{borrow::Cow, fmt, time::Duration};

use serde_json::Value;

use self::contracts::{Absent, EmptyText, Lists};
pub use self::{
    check::{check, find},
    contracts::{Errors, Trust, all},
};
use super::{
    claims::{Claims, Kind},
    rule::{Rule, Written},
    trace::{Step, Trace},
};

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
pub struct Verdict {
    /// The claim.
    pub claim: String,
    /// How it stands.
    pub standing: Standing,
    /// What the receiver does with it; never its value.
    pub words: String,
}

/// A contract that an answer cannot keep.
#[derive(Debug)]
pub struct Failure {
    /// The name of the receiver.
    pub receiver: &'static str,
    /// The claim.
    pub claim: String,
    /// What the receiver would do; never the claim's value.
    pub words: String,
}

impl Contract {
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
    pub fn judge<'c>(&self, claims: impl IntoIterator<Item = (&'c str, &'c Value)>) -> Vec<Verdict> {
        let verdict = |claim: &str, standing, words| Verdict { claim: claim.to_owned(), standing, words };
        let (mut verdicts, mut present) = (Vec::new(), Vec::new());
        for (name, value) in claims.into_iter().filter(|(_, value)| !value.is_null()) {
            present.push(name);
            verdicts.push(match self.look(name, value) {
                Some((standing, words)) => verdict(name, standing, words.into_owned()),
                None => verdict(name, Standing::Ok, self.reads(name)),
            });
        }
        let absent = |term: &&Term| !present.contains(&&*term.name);
        for term in self.terms.iter().filter(absent) {
            let missing = [(&term.required, Standing::Fail), (&term.wanted, Standing::Warn)];
            let missing = missing.into_iter().filter_map(|(why, standing)| Some((why.as_ref()?, standing)));
            verdicts
                .extend(missing.map(|(why, standing)| verdict(&term.name, standing, format!("it is absent: {why}"))));
        }
        let identified = self.identifies.iter().any(|name| present.contains(&&**name));
        if let (false, Some(first)) = (identified, self.identifies.first()) {
            verdicts.push(verdict(first, Standing::Fail, "it is absent: nothing says who the user is".into()));
        }
        verdicts
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
        self.shape(claims)?;
        if let Some(trace) = trace {
            let claims = claims.iter().map(|(name, value)| (&**name, &**value));
            for Verdict { claim, standing, words } in self.contract.judge(claims) {
                let standing = standing.to_string();
                trace.add(Step::Verdict { receiver: self.contract.name, claim, standing, words });
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

/// The elements with commas between them; `None` if that could not be taken apart again.
fn join(items: &[Value]) -> Option<String> {
    let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().filter(|text| !text.contains(','))).collect();
    texts.map(|texts| texts.join(","))
}
