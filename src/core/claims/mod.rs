//! Builds the claim set, in the order of the rule: what is missing, null, defaulted or
//! of a wrong type is decided here.

mod kinds;
mod standard;
mod told;

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use self::told::Told;
pub use self::{
    kinds::{Kind, NAMES as KINDS},
    standard::{STANDARD, STANDARD_SOURCE, Standard},
};
use super::{
    facts::Facts,
    problem::{Code, Place, Problem, Problems, Source, did_you_mean},
    rule::{self, Key, Options, Rule, Selection, Written},
    trace::{Point, PointKind, Trace},
    value::{self, Found, Known, Memory, Mentions, Path, Spot, looks_like_path},
};

/// The claims of an answer, in order.
pub type Claims<'f> = Vec<(Cow<'f, str>, Found<'f>)>;

/// All claims of a rule, ready to be taken.
#[derive(Debug)]
pub struct Plan {
    subject: String,
    includes: Vec<Include>,
    claims: Vec<Claim>,
    kinds: Vec<(String, Kind)>,
}

#[derive(Debug)]
struct Claim {
    name: String,
    value: value::Plan,
    kind: Option<Kind>,
    required: bool,
    flatten: Option<String>,
    /// A blank text counts as absent.
    drops_blank: bool,
}

#[derive(Debug)]
struct Include {
    path: Path,
    place: Place,
    only: Option<Vec<String>>,
    except: Vec<String>,
    flatten: Option<String>,
}

/// A part of a claim set that reads the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader<'a> {
    /// `include`, by its path.
    Include(&'a str),
    /// A claim, by its name.
    Claim(&'a str),
}

/// Why there is no claim set.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The claim.
    pub claim: String,
    /// What is wrong with it; never its value.
    pub cause: Cause,
}

/// What is wrong with a claim.
#[derive(Clone, Debug)]
pub enum Cause {
    /// It is required and absent.
    Missing,
    /// It identifies nobody: empty, blank, or a word for nothing.
    NoSubject,
    /// It has no counterpart in the type that it must have.
    Type(&'static str),
    /// Its path or expression failed.
    Value(value::Failure),
}

/// Compiles `include` and `[claims]`. `None` if there was a problem. `kinds` are types that go before those of
/// OpenID Connect.
pub fn compile(rule: &Rule, kinds: Vec<(String, Kind)>, known: &Known<'_>, problems: &mut Problems) -> Option<Plan> {
    let subject = rule.subject.as_ref().map_or("sub", |subject| &subject.value).to_owned();
    let mut compiler = Compiler { source: &rule.source, subject: &subject, kinds: &kinds, known, problems };
    let includes: Vec<_> = rule.include.iter().filter_map(|include| compiler.include(include)).collect();
    let claims: Vec<_> = rule.claims.iter().filter_map(|(key, written)| compiler.claim(key, written)).collect();
    rule.calls.iter().filter_map(|call| call.paginate.as_ref()?.truncated.as_ref()).for_each(|marker| {
        compiler.marker(rule, marker, &subject);
    });
    if !rule.identified {
        compiler.no_subject(rule, &subject);
        return None;
    }
    (includes.len() == rule.include.len() && claims.len() == rule.claims.len()).then_some(Plan {
        subject,
        includes,
        claims,
        kinds,
    })
}

struct Compiler<'a> {
    source: &'a Arc<Source>,
    subject: &'a str,
    kinds: &'a [(String, Kind)],
    known: &'a Known<'a>,
    problems: &'a mut Problems,
}

impl Compiler<'_> {
    fn include(&mut self, include: &rule::Include) -> Option<Include> {
        let spot = Spot::text(self.source, &include.path);
        if !looks_like_path(&include.path.value) {
            let problem = spot.problem(Code::PlainText, 0..include.path.value.len(), "`include` takes a JSONPath");
            self.problems.add(problem.label("not a path").help("name an object: `path = \"$.user\"`"));
            return None;
        }
        let path = Path::compile(&spot, &include.path.value, self.known, self.problems)?;
        let names = |texts: &[rule::Text]| texts.iter().map(|text| text.value.clone()).collect();
        Some(Include {
            path,
            place: rule::place(self.source, &include.path.span),
            only: include.only.as_deref().map(names),
            except: names(&include.except),
            flatten: include.flatten.as_ref().map(|text| text.value.clone()),
        })
    }

    fn claim(&mut self, key: &Key, written: &Written) -> Option<Claim> {
        let options = match written {
            Written::Options(options) => Some(&**options),
            Written::Text(_) | Written::Chain(_) => None,
        };
        let kind = match options.and_then(|options| options.kind.as_ref()) {
            Some(text) => match Kind::parse(&text.value) {
                Some(kind) => Some(kind),
                None => {
                    let help = did_you_mean(&text.value, kinds::NAMES.map(|(name, _)| name));
                    let spot = Spot::text(self.source, text);
                    let message = format!("not a type of claims: `{}`", text.value);
                    self.problems.add(
                        spot.problem(Code::BadValue, 0..text.value.len(), message).label("unknown type").help(help),
                    );
                    return None;
                }
            },
            None => kind_of(&key.name, self.kinds),
        };
        let value = value::Plan::compile(self.source, written, self.known, self.problems);
        if !self.may_be_flat(key, kind, options) {
            return None;
        }
        Some(Claim {
            name: key.name.clone(),
            value: value?,
            kind,
            required: options.is_some_and(|options| options.required),
            flatten: options.and_then(|options| options.flatten.as_ref()).map(|text| text.value.clone()),
            drops_blank: key.name != self.subject && is_standard(&key.name) && !options.is_some_and(says_blank),
        })
    }

    /// Refuses what can be seen to be nested.
    fn may_be_flat(&mut self, key: &Key, kind: Option<Kind>, options: Option<&Options>) -> bool {
        let place = |span| rule::place(self.source, span);
        if kind == Some(Kind::Object) && key.name != "address" {
            let problem =
                Problem::new(Code::Nested, place(&key.span), format!("the claim `{}` would be an object", key.name))
                    .label("only `address` may be one")
                    .help("write `flatten = \"_\"` to turn its members into claims, or a path to one member");
            self.problems.add(problem);
            return false;
        }
        let Some(options) = options else { return true };
        let constants =
            [("its `default`", options.default.clone().map(|(value, _)| value)), ("its `value`", constant(options))];
        for (label, constant) in constants.iter().filter_map(|(label, value)| Some((*label, value.as_ref()?))) {
            let sound = match kind {
                _ if options.flatten.is_some() => Ok(Cow::Borrowed(constant)),
                kind => fit(&key.name, kind, Cow::Borrowed(constant)),
            };
            if let Err(why) = sound {
                let message = format!("this cannot be the claim `{}`: {why}", key.name);
                let problem = Problem::new(Code::Nested, place(&options.span), message).label(label);
                self.problems.add(problem.help("a claim is a string, number, boolean or array of strings; standard claims have the type of OpenID Connect"));
                return false;
            }
        }
        true
    }

    /// Refuses a claim that is to say that a list was cut short and that says something else already.
    fn marker(&mut self, rule: &Rule, marker: &rule::Text, subject: &str) {
        let name = &marker.value;
        let (why, label) = if rule.claims.iter().any(|(key, _)| key.name == *name) {
            ("and [claims] sets it", "set in [claims] too")
        } else if name == subject {
            ("and it identifies the user", "the subject")
        } else if kind_of(name, self.kinds).is_some() || name == "address" {
            ("and others read it as something else", "known to OpenID Connect or to the receiver")
        } else {
            return;
        };
        let message = format!("the claim `{name}` would say that a list was cut short, {why}");
        let problem = Problem::new(Code::Conflict, rule::place(self.source, &marker.span), message);
        self.problems.add(problem.label(label).help("give the marker a name of its own"));
    }

    fn no_subject(&mut self, rule: &Rule, subject: &str) {
        let span = rule.subject.as_ref().map_or(0..0, |text| text.span.clone());
        let span = rule.claims.first().map_or(span, |(key, _)| key.span.clone());
        let problem = Problem::new(
            Code::NoSubject,
            rule::place(self.source, &span),
            format!("no claim `{subject}` says who the user is"),
        )
        .label(format!("`{subject}` is not among the claims"))
        .help("add `sub = \"$.call.id\"` to [claims], or name the identifying claim: `subject = \"uuid\"`");
        self.problems.add(problem);
    }
}

fn constant(options: &Options) -> Option<Value> {
    match &options.selection {
        Selection::Constant(value) => Some(value.clone()),
        Selection::Path(_) | Selection::Rhai(_) => None,
    }
}

impl Plan {
    /// What the claims read.
    pub fn mentions(&self) -> Mentions {
        let mut mentions = Mentions::default();
        for include in &self.includes {
            include.path.mentions(&mut mentions);
        }
        for claim in &self.claims {
            claim.value.mentions(&mut mentions);
        }
        mentions
    }

    /// The claim that identifies the user.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What coverage asks of the claims.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let includes = self.includes.iter().map(|include| Point {
            kind: PointKind::Value,
            place: include.place.clone(),
            words: format!("`include` never copies a claim from `{}`", include.path.text()),
        });
        includes.chain(self.claims.iter().flat_map(|claim| claim.value.points(&claim.name)))
    }

    /// What each `include` and each claim reads, in the order of the rule.
    pub fn readers(&self) -> impl Iterator<Item = (Reader<'_>, Mentions)> {
        let mentions = |read: &dyn Fn(&mut Mentions)| {
            let mut mentions = Mentions::default();
            read(&mut mentions);
            mentions
        };
        let includes = self.includes.iter().map(move |include| {
            (Reader::Include(include.path.text()), mentions(&|mentions| include.path.mentions(mentions)))
        });
        let claims = self
            .claims
            .iter()
            .map(move |claim| (Reader::Claim(&claim.name), mentions(&|mentions| claim.value.mentions(mentions))));
        includes.chain(claims)
    }

    /// Takes all claims.
    ///
    /// # Errors
    /// The first that is required and absent, or that cannot have its type.
    pub fn run<'f>(
        &'f self,
        facts: &'f Facts<'_>,
        memory: &mut Memory,
        trace: Option<&Trace>,
    ) -> Result<Claims<'f>, Failure> {
        let mut claims: Claims<'f> = Vec::with_capacity(self.claims.len());
        for include in &self.includes {
            include.copy(&self.kinds, &self.subject, facts, &mut claims, trace)?;
        }
        for claim in &self.claims {
            claim.take(facts, memory, &mut claims, trace)?;
        }
        for mark in facts.marks() {
            told::truncated(trace, mark);
            set(&mut claims, Cow::Borrowed(*mark), Cow::Owned(Value::Bool(true)));
        }
        Ok(claims)
    }

    /// What a script made of the claims, in the order of the rule; new ones follow by name.
    ///
    /// # Errors
    /// The first that cannot have its type.
    pub fn reread(&self, before: &Claims<'_>, mut after: Vec<(String, Value)>) -> Result<Claims<'static>, Failure> {
        after.retain(|(_, value)| !value.is_null());
        let place = |name: &str| before.iter().position(|(known, _)| known == name).unwrap_or(before.len());
        after.sort_by_cached_key(|(name, _)| place(name));
        let mut claims = Vec::with_capacity(after.len());
        for (name, value) in after {
            let claim = self.claims.iter().find(|claim| claim.name == name);
            let kind = claim.and_then(|claim| claim.kind).or_else(|| kind_of(&name, &self.kinds));
            // Only the rule itself asks for an object.
            let fits = match claim {
                Some(_) => fit(&name, kind, Cow::Owned(value)),
                None => fit("", kind, Cow::Owned(value)),
            };
            match fits {
                Ok(value) => claims.push((Cow::Owned(name), value)),
                Err(why) => return Err(Failure { claim: name, cause: Cause::Type(why) }),
            }
        }
        Ok(claims)
    }

    /// Makes sure that the claims say who the user is.
    ///
    /// # Errors
    /// When the identifying claim is absent, or is a word for nobody.
    pub fn identify(&self, claims: &Claims<'_>) -> Result<(), Failure> {
        let fail = |cause| Err(Failure { claim: self.subject.clone(), cause });
        match claims.iter().find(|(name, _)| *name == self.subject).map(|(_, value)| &**value) {
            None => fail(Cause::Missing),
            Some(Value::String(text)) if is_nobody(text) => fail(Cause::NoSubject),
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                fail(Cause::Type("it has a control character, and it identifies the user"))
            }
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => fail(Cause::NoSubject),
            Some(Value::String(_) | Value::Number(_)) => Ok(()),
            Some(_) => fail(Cause::Type("it is neither text nor a number, and it identifies the user")),
        }
    }
}

/// The type of a claim for which the rule gives none.
fn kind_of(name: &str, kinds: &[(String, Kind)]) -> Option<Kind> {
    let given = kinds.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
    given.or_else(|| Kind::of_standard_claim(name))
}

/// The claims of OpenID Connect that are no object. A profile has none with an empty text (Core, section 5.3.2): two
/// users without an e-mail would have the same one.
pub fn is_standard(name: &str) -> bool {
    Kind::of_standard_claim(name).is_some()
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// True if the rule itself writes a blank text.
fn says_blank(options: &Options) -> bool {
    options.default.iter().map(|(value, _)| value).chain(constant(options).as_ref()).any(is_blank)
}

/// A value as a claim that the rule names may have it: `address` is an object by its standard (OpenID Connect Core,
/// section 5.1.1), where the provider has one.
fn fit<'v>(name: &str, kind: Option<Kind>, value: Found<'v>) -> Result<Found<'v>, &'static str> {
    match kind {
        Some(kind) => kind.convert(value),
        None if name == "address" && value.is_object() => Kind::Object.convert(value),
        None => kinds::flat(value),
    }
}

/// Texts that providers, libraries and templates write where there is no id.
fn is_nobody(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    text.is_empty()
        || ["0", "-0", "0.0", "null", "undefined", "none", "nil", "nan"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

/// Characters without a width: marks of byte order and direction, joiners.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Claim {
    fn take<'f>(
        &'f self,
        facts: &'f Facts<'_>,
        memory: &mut Memory,
        claims: &mut Claims<'f>,
        trace: Option<&Trace>,
    ) -> Result<(), Failure> {
        let fail = |cause| Failure { claim: self.name.clone(), cause };
        let taken = self.value.take(facts, memory).map_err(|failure| fail(Cause::Value(failure)))?;
        let Some(taken) = taken.filter(|taken| !(self.drops_blank && is_blank(&taken.value))) else {
            told::absent(trace, &self.name, &self.value);
            return if self.required { Err(fail(Cause::Missing)) } else { Ok(()) };
        };
        let told = Told::taken(trace, &taken);
        let put = self.fit(taken.value).and_then(|value| told_of(told, claims, |claims| self.put(value, claims)));
        put.map_err(|why| fail(Cause::Type(why)))
    }

    fn fit<'v>(&self, value: Found<'v>) -> Result<Found<'v>, &'static str> {
        match self.kind {
            _ if self.flatten.is_some() && value.is_object() => Ok(value),
            kind => fit(&self.name, kind, value),
        }
    }

    fn put<'f>(&'f self, value: Found<'f>, claims: &mut Claims<'f>) -> Result<(), &'static str> {
        match (&self.flatten, &*value) {
            (Some(separator), Value::Object(_)) => flatten(&self.name, &value, separator, claims, 0),
            _ => {
                set(claims, Cow::Borrowed(&self.name), value);
                Ok(())
            }
        }
    }
}

impl Include {
    fn copy<'f>(
        &'f self,
        kinds: &[(String, Kind)],
        subject: &str,
        facts: &'f Facts<'_>,
        claims: &mut Claims<'f>,
        trace: Option<&Trace>,
    ) -> Result<(), Failure> {
        let fail = |claim: &str, cause| Failure { claim: claim.to_owned(), cause };
        let object = self.path.first(facts).map_err(|failure| fail("include", Cause::Value(failure)))?;
        let Some(Value::Object(members)) = object.as_deref() else { return Ok(()) };
        for (name, value) in members {
            let wanted = self.only.as_ref().is_none_or(|only| only.contains(name)) && !self.except.contains(name);
            if !wanted || value.is_null() || (is_standard(name) && name != subject && is_blank(value)) {
                continue;
            }
            let told = Told::included(trace, &self.path, &self.place, (name, value));
            let value = Cow::Owned(value.clone());
            let put = told_of(told, claims, |claims| match (&self.flatten, &value) {
                (Some(separator), Cow::Owned(Value::Object(_))) => flatten(name, &value, separator, claims, 0),
                _ => {
                    let fit = match kind_of(name, kinds) {
                        Some(kind) => kind.convert(value),
                        None => kinds::flat(value),
                    };
                    fit.map(|value| set(claims, Cow::Owned(name.clone()), value))
                }
            });
            put.map_err(|why| fail(name, Cause::Type(why)))?;
        }
        Ok(())
    }
}

/// Puts claims among others; if somebody looks on, they are told which.
fn told_of<'f>(
    told: Option<Told<'_>>,
    claims: &mut Claims<'f>,
    put: impl FnOnce(&mut Claims<'f>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let Some(told) = told else { return put(claims) };
    let mut own = Claims::new();
    put(&mut own)?;
    told.became(&own);
    own.into_iter().for_each(|(name, value)| set(claims, name, value));
    Ok(())
}

/// Turns `{a: {b: 1}}` into `a_b`.
fn flatten(
    prefix: &str,
    value: &Value,
    separator: &str,
    claims: &mut Claims<'_>,
    depth: usize,
) -> Result<(), &'static str> {
    /// Deeper than any profile; a claim name grows with each level.
    const MAX_DEPTH: usize = 8;
    if depth > MAX_DEPTH {
        return Err("it is nested too deep to be flattened");
    }
    match value {
        Value::Null => Ok(()),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            flatten(&format!("{prefix}{separator}{name}"), value, separator, claims, depth + 1)
        }),
        _ => {
            let value = kinds::flat(Cow::Borrowed(value))?.into_owned();
            set(claims, Cow::Owned(prefix.to_owned()), Cow::Owned(value));
            Ok(())
        }
    }
}

/// Sets a claim; one that is there already keeps its place.
fn set<'f>(claims: &mut Claims<'f>, name: Cow<'f, str>, value: Found<'f>) {
    match claims.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => claims.push((name, value)),
    }
}

impl Cause {
    /// What happened, for logs and traces: never the claim's value.
    pub fn words(&self) -> String {
        match self {
            Cause::Missing => "it is required and absent".into(),
            Cause::NoSubject => "it identifies the user, and its value is empty, zero or a word for nothing".into(),
            Cause::Type(why) => (*why).into(),
            Cause::Value(failure) => failure.words(),
        }
    }
}
