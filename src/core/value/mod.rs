//! How a rule says "this value": paths, text with `${…}`, expressions, constants.
//!
//! Every step uses these. Each form is compiled once; running one never parses.

mod condition;
mod engine;
mod explicit;
mod expression;
mod fixed;
mod functions;
mod path;
mod plan;
mod text;
mod watch;

use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use http::{HeaderName, header};
use serde_json::Value;

pub use condition::Condition;
pub use engine::{Engine, Memory, from_script, members_from_script, to_script};
pub use expression::{Expression, Offer, Program};
pub use fixed::{Fixed, endpoint, has_credentials, unfit};
pub use functions::{ALL as FUNCTIONS, Family, Function};
pub use path::{Path, looks_like_path};
pub use plan::{Plan, Taken};
pub use text::{Credentials, Position, Template, closing};

use super::{
    facts::Root,
    message::Secret,
    problem::{Code, Place, Problem, Source, Span, did_you_mean, inside_literal},
    rule::Text,
};

/// The names that a rule declares, and what is known of them when it is loaded.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The calls, in the order of the rule.
    pub calls: &'a [String],
    /// All vars, with the operator's values.
    pub vars: &'a Value,
    /// The secrets that could be resolved.
    pub secrets: &'a BTreeMap<String, Secret>,
    /// All secrets that the rule declares.
    pub secret_names: &'a [String],
    /// What compiles and runs expressions.
    pub engine: &'a Arc<Engine>,
    /// There is an `each`: a call is being read that is made for every value of a list.
    pub each: bool,
    /// Where the claims of the caller's token are, if the rule has it verified.
    pub token: Option<Root>,
}

impl Known<'_> {
    /// The part of the document with this name.
    pub fn find(&self, name: &str) -> Option<Root> {
        match name {
            "vars" => Some(Root::Vars),
            "request" => Some(Root::Request),
            "meta" => Some(Root::Meta),
            "token" => self.token,
            "each" if self.each => Some(Root::Each),
            _ => self.calls.iter().position(|call| call == name).map(Root::Call),
        }
    }

    /// The names of all parts of the document.
    pub fn roots(&self) -> Vec<String> {
        let each = self.each.then_some("each");
        let token = self.token.map(|_| "token");
        let others = ["vars", "request", "meta"].into_iter().chain(token).chain(each);
        self.calls.iter().cloned().chain(others.map(str::to_owned)).collect()
    }

    /// The problem of members that a part of the document cannot have: a var that the rule does not declare, the
    /// `meta` of a call that it does not make, a header that is not offered. They stand in the text one after another,
    /// the first at `at` or behind it. `None` if there may be such members.
    pub fn unknown_member(
        &self,
        root: Root,
        spot: &Spot<'_>,
        text: &str,
        at: usize,
        members: &[&str],
    ) -> Option<Problem> {
        let name = *members.first()?;
        let mut end = at;
        let places = members.iter().map(|name| {
            let at = text.get(end..).and_then(|rest| rest.find(name)).map_or(end, |at| end + at);
            end = at + name.len();
            at..end
        });
        let places: Vec<_> = places.collect();
        let found = places[0].clone();
        let problem = |what: &str| spot.problem(Code::UnknownName, found, format!("no {what} is named `{name}`"));
        let (problem, help) = match root {
            Root::Vars => {
                let vars = self.vars.as_object().filter(|vars| !vars.contains_key(name))?;
                let help = match vars.is_empty() {
                    true => format!("declare it in [vars]: `{name} = …`"),
                    false => did_you_mean(name, vars.keys().map(String::as_str)),
                };
                (problem("var"), help)
            }
            Root::Meta if !self.calls.iter().any(|call| call == name) => {
                (problem("call"), did_you_mean(name, self.calls.iter().map(String::as_str)))
            }
            Root::Meta => return unknown_meta(spot, &places[1..], &members[1..]),
            _ => return None,
        };
        Some(problem.label("unknown name").help(help))
    }

    /// The name of a part of the document.
    pub fn name(&self, root: Root) -> &str {
        match root {
            Root::Call(number) => &self.calls[number],
            Root::Vars => "vars",
            Root::Request => "request",
            Root::Meta => "meta",
            Root::Each => "each",
            Root::Token => "token",
        }
    }
}

/// Headers of answers that carry credentials: they are not in the document.
pub const PRIVATE_HEADERS: [HeaderName; 2] = [header::SET_COOKIE, header::AUTHORIZATION];

/// The problem of what `meta` never says of a call.
fn unknown_meta(spot: &Spot<'_>, places: &[Range<usize>], members: &[&str]) -> Option<Problem> {
    // With `each` it is a list, which has a length.
    const KNOWN: [&str; 3] = ["status", "headers", "len"];
    match members {
        [what, ..] if !KNOWN.contains(what) => Some(
            spot.problem(Code::UnknownName, places[0].clone(), format!("`meta` has no `{what}` of a call"))
                .label("unknown name")
                .help(did_you_mean(what, KNOWN.into_iter().take(2))),
        ),
        ["headers", name, ..] if PRIVATE_HEADERS.iter().any(|private| name.eq_ignore_ascii_case(private.as_str())) => {
            let message = format!("the header `{name}` is not in the document");
            let problem = spot.problem(Code::NotHere, places[1].clone(), message).label("not offered");
            Some(problem.help("it carries credentials, which must not reach claims"))
        }
        ["headers", name, ..] if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            let message = format!("no header is named `{name}`: their names are in lower case here");
            let problem = spot.problem(Code::UnknownName, places[1].clone(), message).label("not in lower case");
            Some(problem.help(format!("write `{}`", name.to_ascii_lowercase())))
        }
        _ => None,
    }
}

/// Where a piece of text stands, so that a problem inside it has a place.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    source: &'a Arc<Source>,
    /// The literal that the text is the value of; a whole file without one.
    literal: Option<&'a Span>,
    /// Where in the value the piece starts.
    base: usize,
}

impl<'a> Spot<'a> {
    /// A string of a rule file.
    pub fn text(source: &'a Arc<Source>, text: &'a Text) -> Self {
        Spot { source, literal: Some(&text.span), base: 0 }
    }

    /// A whole file.
    pub fn file(source: &'a Arc<Source>) -> Self {
        Spot { source, literal: None, base: 0 }
    }

    /// A part of the piece.
    #[must_use]
    pub fn at(self, offset: usize) -> Self {
        Spot { base: self.base + offset, ..self }
    }

    /// A problem at a range of bytes of the piece.
    pub fn problem(&self, code: Code, range: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::new(code, self.place(range), message)
    }

    /// The place of a range of bytes of the piece.
    pub fn place(&self, range: Range<usize>) -> Place {
        let (start, end) = (self.base + range.start, self.base + range.end.max(range.start));
        let span = match self.literal {
            Some(literal) => {
                let start = inside_literal(&self.source.text, literal, start);
                let end = inside_literal(&self.source.text, literal, end).min(literal.end.saturating_sub(1));
                start.min(end)..end.max(start)
            }
            None => start..end.min(self.source.text.len()),
        };
        Place { source: self.source.clone(), span }
    }
}

/// What a compiled form reads: the order of calls and the shape of answers follow from it.
#[derive(Clone, Debug, Default)]
pub struct Mentions {
    /// Parts of the document with the members that are read of them; no members: all of it.
    pub paths: Vec<(Root, Vec<String>)>,
    /// The caller's token is written out.
    pub token: bool,
    /// The time is asked for.
    pub now: bool,
}

impl Mentions {
    /// Notes that a part of the document is read.
    pub fn add(&mut self, root: Root, members: impl IntoIterator<Item = String>) {
        self.paths.push((root, members.into_iter().collect()));
    }

    /// Notes what another form reads.
    pub fn extend(&mut self, other: &Mentions) {
        self.paths.extend(other.paths.iter().cloned());
        self.token |= other.token;
        self.now |= other.now;
    }

    /// The calls that are read.
    pub fn calls(&self) -> impl Iterator<Item = usize> {
        self.paths.iter().filter_map(|(root, _)| match root {
            Root::Call(number) => Some(*number),
            Root::Vars | Root::Request | Root::Meta | Root::Each | Root::Token => None,
        })
    }
}

/// Why a compiled form gave no value. The texts are for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A JSONPath could not be answered exactly.
    Path {
        /// The path as written.
        path: Box<str>,
        /// The reason.
        why: &'static str,
    },
    /// A script failed or met a limit.
    Script {
        /// The line of the file, counted from 1.
        line: usize,
        /// What Rhai said; never a value of the document.
        message: String,
    },
    /// A script called `reject`.
    Rejected {
        /// The error code.
        error: String,
        /// What the caller is told.
        reason: String,
    },
    /// A value cannot stand where the rule puts it.
    Unfit {
        /// Where it was to stand.
        place: &'static str,
        /// Why it cannot.
        why: &'static str,
    },
}

/// A value of the document, or one made from it.
pub type Found<'f> = Cow<'f, Value>;

/// True for a value that a chain skips: null, empty text, an empty list.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Failure {
    /// What happened, for logs and traces: no value of the document.
    pub fn words(&self) -> String {
        match self {
            Failure::Path { path, why } => format!("the path `{path}` has no answer: {why}"),
            Failure::Script { line, message } => format!("line {line}: {message}"),
            Failure::Rejected { .. } => "`reject` was called where it has no effect of its own".into(),
            Failure::Unfit { place, why } => format!("a value cannot stand in {place}: {why}"),
        }
    }
}
