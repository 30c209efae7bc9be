//! What may be written at a place.

use std::ops::Range;

use super::{
    here::{Here, Kind, Reading},
    outline::{Spot, inside},
    samples,
};
use crate::core::{
    Contract, FUNCTIONS, STANDARD, STANDARD_SOURCE, Standard, meanings,
    problem::{Code, Severity},
    words::{Key, Language, Names, Takes, Words},
};

/// Something that may be written.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) label: String,
    /// The number that the protocol gives its kind.
    pub(crate) kind: u8,
    /// In a few words, beside it.
    pub(crate) detail: String,
    /// In Markdown, below it.
    pub(crate) doc: String,
    /// What it takes the place of.
    pub(crate) span: Range<usize>,
    /// What is written.
    pub(crate) text: String,
}

const METHOD: u8 = 2;
const FUNCTION: u8 = 3;
const FIELD: u8 = 5;
const VARIABLE: u8 = 6;
const MODULE: u8 = 9;
const PROPERTY: u8 = 10;
const VALUE: u8 = 12;
const WORD: u8 = 20;

/// Everything that may be written at a place.
pub(crate) fn complete(here: &Here<'_>) -> Vec<Item> {
    if let Some(reading) = here.reading(here.at) {
        return names(here, &reading);
    }
    match &here.spot {
        Spot::Header { before, span } => headers(here, before, span),
        Spot::Key { table, block, span } => keys(here, table, *block, span),
        Spot::Value { path, span } => values(here, path, span),
        Spot::Text { path, literal } => texts(here, path, literal),
        Spot::Other => Vec::new(),
    }
}

fn item(label: &str, kind: u8, detail: &str, doc: &str, span: &Range<usize>) -> Item {
    Item {
        label: label.to_owned(),
        kind,
        detail: detail.to_owned(),
        doc: doc.to_owned(),
        span: span.clone(),
        text: label.to_owned(),
    }
}

/// The names of tables in a header.
fn headers(here: &Here<'_>, before: &[String], span: &Range<usize>) -> Vec<Item> {
    let Some(table) = here.table(before) else { return Vec::new() };
    let tables = table.keys.iter().filter(|key| Takes::table(key.takes).is_some());
    let tables = tables.map(|key| item(key.name, MODULE, "table", &key_doc(key), span));
    let declared = match table.named.as_ref().map(|named| named.what) {
        Some(Names::Call) => here.declared("call"),
        _ => Vec::new(),
    };
    tables.chain(declared.into_iter().map(|name| item(name, MODULE, "call", "", span))).collect()
}

fn key_doc(key: &Key) -> String {
    format!("{}\n\n```toml\n{} = {}\n```", key.doc, key.name, key.example)
}

/// The keys that a table may have and does not have yet.
fn keys(here: &Here<'_>, path: &[String], block: usize, span: &Range<usize>) -> Vec<Item> {
    let Some(table) = here.table(path) else { return Vec::new() };
    let there = |name: &str| {
        here.outline.keys.iter().any(|entry| {
            let same = entry.path.len() == path.len() + 1
                && entry.path.starts_with(path)
                && entry.path.last().is_some_and(|last| last == name);
            same && entry.block == block && entry.span != *span
        })
    };
    let mut items = Vec::new();
    for key in table.keys.iter().filter(|key| !there(key.name)) {
        let mut item = item(key.name, PROPERTY, if key.needed { "needed" } else { "" }, &key_doc(key), span);
        item.text = key_text(key, path.is_empty());
        items.push(item);
    }
    if let Some(named) = &table.named {
        let known = known_names(here, named.what).into_iter().filter(|(name, ..)| !there(name));
        items.extend(known.map(|(name, detail, doc)| {
            let mut item = item(&name, FIELD, &detail, &doc, span);
            item.text = format!("{} = ", quoted_key(&name));
            item
        }));
    }
    items
}

/// A key as it is begun: a table of a whole file is a header.
fn key_text(key: &Key, whole: bool) -> String {
    let is = |wanted: fn(&Takes) -> bool| key.takes.iter().any(wanted);
    match (is(|takes| matches!(takes, Takes::Table(_))), is(|takes| matches!(takes, Takes::List(_)))) {
        (true, true) if whole => format!("[[{}]]", key.name),
        (true, false) if whole && key.name == "call" => "[call.".into(),
        (true, false) if whole => format!("[{}]", key.name),
        _ => format!("{} = ", key.name),
    }
}

fn quoted_key(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// Names that are likely, each with a few words and an explanation.
fn known_names(here: &Here<'_>, what: Names) -> Vec<(String, String, String)> {
    let plain = |names: Vec<&str>, detail: &str| -> Vec<_> {
        names.into_iter().map(|name| (name.to_owned(), detail.to_owned(), String::new())).collect()
    };
    match what {
        Names::Claim if here.kind == Kind::Cases => plain(here.declared("claims"), "claim of the rule"),
        Names::Claim => claims(here),
        Names::Var if here.kind == Kind::Cases => plain(here.declared("vars"), "var of the rule"),
        Names::Secret if here.kind == Kind::Cases => plain(here.declared("secrets"), "secret of the rule"),
        Names::Finding => {
            let findings = Code::ALL.into_iter().filter(|code| code.severity() < Severity::Error);
            findings.map(|code| (code.id().into(), code.page().title.into(), code.page().text.into())).collect()
        }
        Names::Header => plain(vec!["Accept", "Accept-Language", "User-Agent"], "header"),
        _ => Vec::new(),
    }
}

/// The claims that the receiver reads, and those of the standard.
fn claims(here: &Here<'_>) -> Vec<(String, String, String)> {
    let contract = contract(here);
    let mut claims: Vec<(String, String, String)> = Vec::new();
    if let Some(contract) = contract {
        claims.extend(contract.claims().map(|name| (name.to_owned(), contract.title.clone(), claim_doc(here, name))));
    }
    for claim in &STANDARD {
        if claims.iter().all(|(name, ..)| name != claim.name) {
            claims.push((claim.name.to_owned(), "OpenID Connect".into(), claim_doc(here, claim.name)));
        }
    }
    claims
}

/// The contract of the receiver that the rule names.
pub(crate) fn contract(here: &Here<'_>) -> Option<&'static Contract> {
    let rule = here.rule.as_ref()?;
    Contract::find(rule.outline.value(&rule.text, &["receiver"])?)
}

/// What the standard and the receiver say of a claim.
pub(crate) fn claim_doc(here: &Here<'_>, name: &str) -> String {
    let mut parts = Vec::new();
    if let Some(claim) = Standard::find(name) {
        parts.push(format!("{}\n\n({STANDARD_SOURCE})", claim.doc));
        parts.push(format!("```toml\n{name} = {}\n```", claim.example));
    }
    if let Some(contract) = contract(here) {
        parts.push(format!("{}: {}", contract.title, contract.says(name)));
    }
    parts.join("\n\n")
}

/// Values that are no texts, and the example.
fn values(here: &Here<'_>, path: &[String], span: &Range<usize>) -> Vec<Item> {
    let Some(takes) = here.takes(path) else { return Vec::new() };
    let mut items = Vec::new();
    for one in takes {
        match one {
            Takes::Flag => items.extend(["true", "false"].map(|word| item(word, WORD, "", "", span))),
            Takes::Word(words) => items.extend(words_of(here, *words, span).into_iter().map(|mut word| {
                word.text = format!("{:?}", word.text);
                word
            })),
            _ => {}
        }
    }
    let table = path.split_last().and_then(|(name, table)| Some((name, here.table(table)?)));
    let example = table.and_then(|(name, table)| match table.key(name) {
        Some(key) => Some(key.example.to_owned()),
        None => match table.named.as_ref()?.what {
            Names::Claim => Standard::find(name).map(|claim| claim.example.to_owned()),
            Names::Secret if here.kind == Kind::Rule => Some(format!("{{ env = \"{}\" }}", name.to_uppercase())),
            _ => None,
        },
    });
    items.extend(example.map(|example| item(&example, VALUE, "example", "", span)));
    items
}

/// Inside a text in quotes.
fn texts(here: &Here<'_>, path: &[String], literal: &Range<usize>) -> Vec<Item> {
    let inner = inside(&here.text[literal.clone()]);
    let span = literal.start + inner.start..literal.start + inner.end;
    if let Some(words) = here.words(path) {
        return words_of(here, words, &span);
    }
    let takes = here.takes(path).unwrap_or_default();
    let paths = takes.iter().any(|one| matches!(one, Takes::Value | Takes::Text(Language::Path | Language::Value)));
    if paths && here.kind == Kind::Rule && matches!(here.text.get(span.start..here.at), Some("" | "$")) {
        let roots = roots(here, false, false).into_iter();
        return roots.map(|(name, detail)| item(&format!("$.{name}"), MODULE, &detail, "", &span)).collect();
    }
    Vec::new()
}

fn words_of(here: &Here<'_>, words: Words, span: &Range<usize>) -> Vec<Item> {
    let names = |table: &str, detail: &str| -> Vec<_> {
        here.declared(table).into_iter().map(|name| item(name, VARIABLE, detail, "", span)).collect()
    };
    match words {
        Words::Calls => names("call", "call"),
        Words::Claims => names("claims", "claim"),
        _ => meanings(words).into_iter().map(|(word, doc)| item(&word, WORD, &doc, &doc, span)).collect(),
    }
}

/// What an expression can start with, each with a few words.
fn roots(here: &Here<'_>, private: bool, script: bool) -> Vec<(String, String)> {
    let mut roots = Vec::new();
    if let Some(rule) = &here.rule {
        for name in rule.outline.names(&["call"]) {
            let url = rule.outline.value(&rule.text, &["call", name, "url"]).unwrap_or_default();
            roots.push((name.to_owned(), format!("the answer of {url}")));
        }
        if rule.outline.key(&["token"]).is_some() {
            roots.push(("token".into(), "what is known of the caller's token".into()));
        } else if private {
            roots.push(("token".into(), "the caller's token".into()));
        }
    }
    roots.push(("vars".into(), "the vars of the rule".into()));
    roots.push(("request".into(), "what `[request]` shows of the caller's request".into()));
    roots.push(("meta".into(), "status and headers of each answer".into()));
    if private {
        roots.push(("secrets".into(), "the secrets of the rule".into()));
        roots.push(("each".into(), "the value that the call is made for".into()));
    }
    if script {
        roots.push(("claims".into(), "the claims that were made".into()));
    }
    roots
}

/// The names that may come next in an expression.
fn names(here: &Here<'_>, reading: &Reading) -> Vec<Item> {
    let rhai = reading.language == Language::Rhai;
    let steps = &reading.chain.steps;
    let mut items = Vec::new();
    if steps.is_empty() {
        let roots = roots(here, reading.private, reading.script).into_iter();
        items.extend(roots.map(|(name, detail)| item(&name, VARIABLE, &detail, "", &reading.span)));
    } else {
        items.extend(members(here, reading));
    }
    if rhai {
        let kind = if steps.is_empty() { FUNCTION } else { METHOD };
        items.extend(FUNCTIONS.iter().map(|function| {
            let doc = format!("{}\n\n```\n{}\n```\nis `{}`", function.doc, function.example, function.result);
            let mut item = item(function.name(), kind, function.signature, &doc, &reading.span);
            item.text = format!("{}(", function.name());
            item
        }));
    }
    items
}

/// The members of what was named so far.
fn members(here: &Here<'_>, reading: &Reading) -> Vec<Item> {
    let span = &reading.span;
    let declared = |table: &str, detail: &str| -> Vec<Item> {
        here.declared(table).into_iter().map(|name| item(name, FIELD, detail, "", span)).collect()
    };
    match reading.names()[..] {
        ["vars"] => declared("vars", "var"),
        ["secrets"] if reading.private => declared("secrets", "secret"),
        ["claims"] if reading.script => declared("claims", "claim"),
        ["meta"] => declared("call", "call"),
        ["request"] => ["headers", "query", "method", "rule"].map(|name| item(name, FIELD, "", "", span)).into(),
        ["request", part @ ("headers" | "query")] => {
            let shown = here.rule.iter().flat_map(|rule| {
                let entries = rule.outline.values.iter().filter(|entry| entry.path == ["request", part]);
                entries.map(|entry| super::outline::unquoted(&rule.text[entry.span.clone()]).to_owned())
            });
            shown.map(|name| member(&name, "", reading)).collect()
        }
        _ => {
            let members = here.samples.members(&reading.chain.steps).into_iter();
            members.map(|one| member(&one.name, &samples::words(&one.sample), reading)).collect()
        }
    }
}

/// A member of an answer; a name that is no word stands in brackets.
fn member(name: &str, detail: &str, reading: &Reading) -> Item {
    let mut item = item(name, FIELD, detail, "", &reading.span);
    let word =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !word && !reading.chain.quoted && reading.span.start > 0 {
        // The dot gives way to the brackets.
        item.span.start -= 1;
        item.text = match reading.language {
            Language::Rhai => format!("[`{name}`]"),
            _ => format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
        };
    }
    item
}
