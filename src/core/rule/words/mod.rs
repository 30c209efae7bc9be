//! The words of the rule language: every table, its keys, what they take, and what they mean.
//!
//! This is the one list of them. Reading a rule refuses what does not stand here; the JSON Schemas and the
//! language server say what stands here. `tests/schema.rs` tries every key with values of every type, so that
//! list and reading cannot drift apart.

mod calls;
mod cases;
mod tables;

pub use cases::CASES;
pub use tables::{RULE, VALUE};

pub(super) use calls::{
    AUTH, BASIC, CACHE, CALL, CLIENT_CREDENTIALS, DECODE, EACH, FAIL_WHEN, GRAPHQL, MTLS, PAGINATE, REDIRECT, RETRY,
    TOKEN_PLACE, XML,
};
pub(super) use cases::{ANSWER, ASKED, CASE, ERROR, INBOUND};
pub(super) use tables::{
    ANSWER_JWT, INCLUDE, INTROSPECT, INTROSPECT_AUTH, INTROSPECT_BASIC, JWT, LOGIN, REQUEST, REQUIRE, SCRIPT, SECRET,
    TOKEN,
};

/// A table of a rule file, of a case file or of the settings.
#[derive(Debug)]
pub struct Table {
    /// Its name among all tables.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// What its keys hold if their names are the author's own.
    pub named: Option<Named>,
    /// Which of its keys exclude one another.
    pub choice: Choice,
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes: one of these.
    pub takes: &'static [Takes],
    /// Whether it must be there.
    pub needed: bool,
    /// What it means, in a sentence or two.
    pub doc: &'static str,
    /// A value of it, in TOML.
    pub example: &'static str,
}

/// Keys with names of the author's own.
#[derive(Debug)]
pub struct Named {
    /// What is named.
    pub what: Names,
    /// What each takes.
    pub takes: &'static [Takes],
    /// An entry, in TOML.
    pub example: &'static str,
}

/// What is named by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A call.
    Call,
    /// A var.
    Var,
    /// A secret.
    Secret,
    /// A claim.
    Claim,
    /// A header.
    Header,
    /// A finding that can be accepted.
    Finding,
    /// Something that the provider or the caller names.
    Any,
}

/// Keys that exclude one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// None do.
    Free,
    /// At most one of these may be there.
    AtMostOne(&'static [&'static str]),
    /// Exactly one of these must be there.
    One(&'static [&'static str]),
}

/// What a key may take.
#[derive(Debug)]
pub enum Takes {
    /// A text.
    Text(Language),
    /// One of several words.
    Word(Words),
    /// `true` or `false`.
    Flag,
    /// `false`, which says that something must not be there.
    Absent,
    /// An integer between two bounds.
    Integer(i64, i64),
    /// Any number.
    Number,
    /// A date and time.
    Moment,
    /// A table.
    Table(&'static Table),
    /// A list of what one of these is.
    List(&'static [Takes]),
    /// A value of the rule language: a JSONPath or a text with `${…}`, a list of values of which the first that is
    /// there counts, or a table with options.
    Value,
    /// Anything.
    Json,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Words for people or machines.
    Plain,
    /// A JSONPath.
    Path,
    /// Text with `${…}`.
    Template,
    /// A JSONPath, or text with `${…}`.
    Value,
    /// Rhai.
    Rhai,
    /// JSON.
    Json,
    /// A duration, such as `2s`.
    Duration,
    /// An address that starts with `https://`.
    Https,
}

/// Words of which a key takes one.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// These, each with what it means.
    Given(&'static [(&'static str, &'static str)]),
    /// The errors that a rule may answer.
    Errors,
    /// The receivers that there is a contract for.
    Receivers,
    /// The types of claims.
    Types,
    /// The claims of the rule, or any other: the list is open.
    Claims,
    /// The calls of the rule.
    Calls,
}

impl Table {
    /// The key with this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// What a key of this name takes, be it one of the table's or the author's.
    pub fn takes(&self, name: &str) -> Option<&'static [Takes]> {
        let named = self.named.as_ref().map(|named| named.takes);
        self.key(name).map(|key| key.takes).or(named)
    }
}

impl Takes {
    /// The table that one of these is, be it in a list.
    pub fn table(takes: &'static [Takes]) -> Option<&'static Table> {
        takes.iter().find_map(|one| match one {
            Takes::Table(table) => Some(*table),
            Takes::List(items) => Takes::table(items),
            Takes::Value => Some(&VALUE),
            _ => None,
        })
    }
}

/// A table with keys that are all known.
pub const fn table(name: &'static str, doc: &'static str, keys: &'static [Key], choice: Choice) -> Table {
    Table { name, doc, keys, named: None, choice }
}

/// A table whose keys are the author's own.
pub const fn names(
    name: &'static str,
    doc: &'static str,
    what: Names,
    takes: &'static [Takes],
    example: &'static str,
) -> Table {
    Table { name, doc, keys: &[], named: Some(Named { what, takes, example }), choice: Choice::Free }
}

/// A key that may be left out.
pub const fn key(name: &'static str, takes: &'static [Takes], example: &'static str, doc: &'static str) -> Key {
    Key { name, takes, needed: false, doc, example }
}

/// A key that must be there.
pub const fn needed(name: &'static str, takes: &'static [Takes], example: &'static str, doc: &'static str) -> Key {
    Key { name, takes, needed: true, doc, example }
}

const PLAIN: &[Takes] = &[Takes::Text(Language::Plain)];
const TEMPLATE: &[Takes] = &[Takes::Text(Language::Template)];
const PATH: &[Takes] = &[Takes::Text(Language::Path)];
const RHAI: &[Takes] = &[Takes::Text(Language::Rhai)];
const DURATION: &[Takes] = &[Takes::Text(Language::Duration)];
const FLAG: &[Takes] = &[Takes::Flag];
const PLAINS: &[Takes] = &[Takes::List(PLAIN)];
const VALUES: &[Takes] = &[Takes::Value];
const ERRORS: &[Takes] = &[Takes::Word(Words::Errors)];
