//! JSONPath (RFC 9535): cheap forms for paths that only walk, jsonpath-rust for the rest.
//!
//! A path starts with the name of a part of the document, so it is run on that
//! part alone. What jsonpath-rust would answer wrongly is refused at compile time
//! (see `validate`); comparisons of integers are made exact by `exact`, which also counts what a query does: a
//! document is somebody else's, and some paths take more steps on some documents than anybody could wait for.

mod exact;
mod validate;
mod walk;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jsonpath_rust::{
    parser::{
        errors::JsonPathError,
        model::{JpQuery, Segment, Selector},
        parse_json_path,
    },
    query::js_path_process,
};
use pest::error::InputLocation;
use serde_json::Value;

use self::{
    exact::Exact,
    validate::{Pattern, Traits, validate},
    walk::Hop,
};
use super::{Engine, Failure, Known, Mentions, Spot};
use crate::core::{
    facts::{Facts, Root},
    problem::{Code, Problems, Source, did_you_mean},
};

/// A compiled JSONPath.
#[derive(Debug)]
pub struct Path {
    root: Root,
    /// The members that lead to the value that the rest looks at.
    members: Box<[Box<str>]>,
    rest: Rest,
    text: Box<str>,
}

#[derive(Debug)]
enum Rest {
    /// Nothing, or an index and what follows it one after another: a walk.
    Steps(Box<[Step]>),
    /// Selectors of several nodes among them, none of which selects a node twice: a walk too.
    Hops(Box<[Hop]>),
    /// Anything else.
    Query(Box<Query>),
}

#[derive(Debug, PartialEq)]
enum Step {
    Member(Box<str>),
    Index(usize),
}

#[derive(Debug)]
struct Query {
    query: JpQuery,
    /// Roots that the filters mention by `$`: the query then runs on a document made of these and of
    /// the value that it looks at, under [`MAIN`].
    absolute: Vec<(String, Root)>,
    traits: Traits,
}

/// A name that no call has.
const MAIN: &str = "";

/// True for a string that the rule language reads as a JSONPath.
pub fn looks_like_path(text: &str) -> bool {
    text.starts_with("$.") || text.starts_with("$[")
}

impl Path {
    /// Compiles a JSONPath alone, for a document with one call.
    ///
    /// # Errors
    /// Its problems, as a rule with it would have them.
    pub fn alone(source: &Arc<Source>, call: &str) -> Result<Path, Problems> {
        // A path asks for no time, and runs no script.
        static ENGINE: LazyLock<Arc<Engine>> =
            LazyLock::new(|| Arc::new(Engine::new(|| Duration::ZERO, || Duration::ZERO)));
        let known = Known {
            calls: &[call.to_owned()],
            vars: &Value::Null,
            secrets: &BTreeMap::new(),
            secret_names: &[],
            engine: &ENGINE,
            each: false,
            token: None,
        };
        let mut problems = Problems::default();
        Path::compile(&Spot::file(source), &source.text, &known, &mut problems).ok_or(problems)
    }

    /// Compiles a JSONPath, whose first segment must name a part of the document.
    pub fn compile(spot: &Spot<'_>, text: &str, known: &Known<'_>, problems: &mut Problems) -> Option<Path> {
        let query = match parse_json_path(text) {
            Ok(query) => query,
            Err(error) => {
                let (offset, message) = explain(text, &error);
                let rest = text.get(offset..).unwrap_or_default();
                let help = if rest.starts_with('-') {
                    "a member with `-` in its name is written `['with-dash']`"
                } else if function(rest).is_some() {
                    "there are `length`, `count`, `value`, `match` and `search`"
                } else if is_long_number(rest) {
                    "integers of up to 64 bits can be compared; write a longer id as a string"
                } else {
                    "RFC 9535 has the syntax: `$.call.member`, `$.call[0]`, `$.call[?@.primary == true].value`"
                };
                let problem = spot.problem(Code::BadPath, offset..offset + 1, "not a JSONPath").label(message);
                problems.add(problem.help(help));
                return None;
            }
        };
        let traits = match validate(&query) {
            Ok(traits) => traits,
            Err((message, help)) => {
                problems.add(spot.problem(Code::UnsafePath, 0..text.len(), message).label("refused").help(help));
                return None;
            }
        };
        let root = root(spot, text, &query, known, problems)?;
        let first = known.name(root);
        let after = text.find(first).map_or(0, |at| at + first.len());
        let named: Vec<_> = query.segments[1..].iter().map_while(member).collect();
        if let Some(problem) = known.unknown_member(root, spot, text, after, &named) {
            problems.add(problem);
            return None;
        }
        let mut absolute = Vec::new();
        for name in &traits.absolute {
            // The first `$` is that of the whole path.
            let place = text[1..].find(&format!("$.{name}")).map_or(0, |at| 1 + at + "$.".len());
            absolute.push((name.clone(), known.root(spot, place..place + name.len(), name, problems)?));
        }
        let members: Box<[Box<str>]> = named.into_iter().map(Box::from).collect();
        let rest = &query.segments[1 + members.len()..];
        let rest = match steps(rest) {
            Some(steps) => Rest::Steps(steps),
            None if walk::is_walk(rest) => Rest::Hops(walk::hops(rest)),
            None => {
                let main = (!absolute.is_empty()).then(|| Segment::Selector(Selector::Name(MAIN.into())));
                let query = JpQuery::new(main.into_iter().chain(rest.iter().cloned()).collect());
                Rest::Query(Box::new(Query { query, absolute, traits }))
            }
        };
        Some(Path { root, members, rest, text: text.into() })
    }

    /// A plain path of members, as `${user.name}` writes it.
    pub fn members(root: Root, members: &[&str], text: &str) -> Path {
        let members = members.iter().map(|name| Box::from(*name)).collect();
        Path { root, members, rest: Rest::Steps(Box::default()), text: text.into() }
    }

    /// The path as the rule writes it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if it may select more than one node.
    pub fn is_plural(&self) -> bool {
        match &self.rest {
            Rest::Steps(_) => false,
            Rest::Hops(hops) => hops.iter().any(Hop::is_plural),
            Rest::Query(query) => !query.traits.singular,
        }
    }

    /// Adds what it reads.
    pub fn mentions(&self, mentions: &mut Mentions) {
        mentions.add(self.root, self.members.iter().map(ToString::to_string));
        if let Rest::Query(query) = &self.rest {
            for (_, root) in &query.absolute {
                mentions.add(*root, []);
            }
        }
    }

    /// The first node that it selects.
    pub fn first<'f>(&self, facts: &'f Facts<'_>) -> Result<Option<Cow<'f, Value>>, Failure> {
        let Some(start) = self.start(facts) else { return Ok(None) };
        match &self.rest {
            Rest::Steps(steps) => Ok(walk(start, steps).map(Cow::Borrowed)),
            Rest::Hops(hops) => Ok(walk::first(start, hops).map(Cow::Borrowed)),
            Rest::Query(query) => Ok(query.run(start, facts, &self.text)?.into_iter().next()),
        }
    }

    /// All nodes that it selects, in order.
    pub fn all<'f>(&self, facts: &'f Facts<'_>) -> Result<Vec<Cow<'f, Value>>, Failure> {
        let Some(start) = self.start(facts) else { return Ok(Vec::new()) };
        match &self.rest {
            Rest::Steps(steps) => Ok(walk(start, steps).map(Cow::Borrowed).into_iter().collect()),
            Rest::Hops(hops) => Ok(walk::all(start, hops).into_iter().map(Cow::Borrowed).collect()),
            Rest::Query(query) => query.run(start, facts, &self.text),
        }
    }

    /// The value that its members lead to.
    fn start<'f>(&self, facts: &'f Facts<'_>) -> Option<&'f Value> {
        facts.walk(self.root, self.members.iter().map(|name| &**name))
    }
}

impl Query {
    fn run<'f>(&self, start: &'f Value, facts: &'f Facts<'_>, text: &str) -> Result<Vec<Cow<'f, Value>>, Failure> {
        let fail = |why| Failure::Path { path: text.into(), why };
        let document = if self.absolute.is_empty() {
            Exact::from(start)
        } else {
            let others = self.absolute.iter().filter_map(|(name, root)| Some((name.as_str(), facts.walk(*root, [])?)));
            Exact::object(std::iter::once((MAIN, start)).chain(others))
        };
        let search = self.search(&document).map_err(fail)?;
        let (nodes, met) = exact::observe(&document, search, || js_path_process(&self.query, &document));
        let nodes = nodes.map_err(|_| fail("it gave no nodes"))?;
        if met.spent {
            return Err(fail("it takes more steps on this answer than a path may"));
        }
        if met.inexact || (met.big_integer && self.traits.orders) {
            return Err(fail("a filter compares a number that no float holds exactly"));
        }
        if !exact::may_be_copied(nodes.iter().map(|node| node.val)) {
            return Err(fail("it selects more of this answer than a path may"));
        }
        Ok(nodes.into_iter().map(|node| Cow::Owned(Value::from(node.val))).collect())
    }

    /// What it costs to hand out a text: much where a pattern is compiled for each text, as jsonpath-rust does it.
    fn search(&self, document: &Exact) -> Result<usize, &'static str> {
        let mut search = 0;
        for pattern in &self.traits.patterns {
            search = search.max(match pattern {
                Pattern::Literal(cost) => *cost,
                Pattern::Absolute(query) => cost(query, document)?,
            });
        }
        Ok(search)
    }
}

/// What the pattern costs that a document has at a place.
fn cost(query: &JpQuery, document: &Exact) -> Result<usize, &'static str> {
    let (nodes, met) = exact::observe(document, 0, || js_path_process(query, document));
    if met.spent {
        return Err("it takes more steps on this answer than a path may");
    }
    match nodes.as_deref() {
        Ok([node]) => match node.val {
            Exact::Text(text) => validate::cost(text).map_err(|_| "a pattern in an answer is too large"),
            _ => Ok(0),
        },
        _ => Ok(0),
    }
}

fn walk<'v>(mut value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    for step in steps {
        value = match (step, value) {
            (Step::Member(name), Value::Object(members)) => members.get(&**name)?,
            (Step::Index(index), Value::Array(items)) => items.get(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

/// The part of the document that the first segment names.
fn root(spot: &Spot<'_>, text: &str, query: &JpQuery, known: &Known<'_>, problems: &mut Problems) -> Option<Root> {
    let Some(name) = query.segments.first().and_then(member) else {
        let names = known.roots();
        let help = format!(
            "start with one of: {}",
            names.iter().map(|name| format!("`$.{name}`")).collect::<Vec<_>>().join(", ")
        );
        problems.add(
            spot.problem(Code::BadPath, 0..text.len(), "a path starts with the name of a call")
                .label("which call's answer?")
                .help(help),
        );
        return None;
    };
    let at = text.find(name).unwrap_or(0);
    known.root(spot, at..at + name.len(), name, problems)
}

fn member(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Selector(Selector::Name(name)) => Some(name),
        _ => None,
    }
}

/// The cheap form, if every segment is a member or an index.
fn steps(segments: &[Segment]) -> Option<Box<[Step]>> {
    segments
        .iter()
        .map(|segment| match segment {
            Segment::Selector(Selector::Name(name)) => Some(Step::Member(name.as_str().into())),
            Segment::Selector(Selector::Index(index)) => usize::try_from(*index).ok().map(Step::Index),
            _ => None,
        })
        .collect()
}

/// The byte at which the parser gave up, and its words.
fn explain(text: &str, error: &JsonPathError) -> (usize, String) {
    if let Some((at, open)) = unclosed(text) {
        return (at, format!("`{open}` is never closed"));
    }
    match error {
        JsonPathError::PestError(error) => {
            let offset = match error.location {
                InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
            };
            let rest = &text[offset.min(text.len())..];
            let found = match (rest.chars().next(), function(rest)) {
                (_, Some(name)) => format!("no function `{name}` in RFC 9535"),
                (Some(_), _) if is_long_number(rest) => "this number cannot be compared exactly".into(),
                (Some(c), _) => format!("`{c}` is not expected here"),
                (None, _) => "the path ends too early".into(),
            };
            (offset, found)
        }
        other => (0, other.to_string()),
    }
}

/// The name of the function that is called at the start of a text.
fn function(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('(')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_name.then_some(name)
}

/// True for an integer at the start of a text that no 64 bits hold.
fn is_long_number(text: &str) -> bool {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    !digits.is_empty() && digits.parse::<u64>().is_err()
}

/// The innermost bracket that is open at the end of a path. The parser stops after it instead, at
/// something that is in order.
fn unclosed(text: &str) -> Option<(usize, char)> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), _) if c == mark => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '(') => open.push((at, c)),
            (None, ']' | ')') => {
                open.pop()?;
            }
            (None, _) => {}
        }
    }
    open.pop()
}

impl Known<'_> {
    /// The part of the document with this name, or a problem that says which there are.
    pub(super) fn root(
        &self,
        spot: &Spot<'_>,
        range: std::ops::Range<usize>,
        name: &str,
        problems: &mut Problems,
    ) -> Option<Root> {
        if let Some(root) = self.find(name) {
            return Some(root);
        }
        let problem = match name {
            "token" => spot
                .problem(Code::NotHere, range, "`token` is not in the document")
                .label("not readable here")
                .help("its claims are, once `[token]` has it verified: `jwt`, `introspect` or `call`"),
            "secrets" => spot
                .problem(Code::NotHere, range, format!("`{name}` is not in the document"))
                .label("not readable here")
                .help("the token and the secrets are offered only inside `${…}` of a call, so that they cannot leak into claims"),
            _ => {
                let names = self.roots();
                spot.problem(Code::UnknownName, range, format!("no call is named `{name}`"))
                    .label("unknown name")
                    .help(did_you_mean(name, names.iter().map(String::as_str)))
            }
        };
        problems.add(problem);
        None
    }
}

#[cfg(test)]
mod conformance;
