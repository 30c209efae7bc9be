//! What there is to know of the thing at a place.

use std::ops::Range;

use super::{
    chain::Step,
    complete::claim_doc,
    here::{Here, Reading},
    outline::Spot,
    samples,
};
use crate::core::{
    Contract, Function, meanings,
    problem::Code,
    words::{Language, Names, Takes, Words},
};

/// An explanation in Markdown, and what it is about.
pub(crate) fn hover(here: &Here<'_>) -> Option<(String, Range<usize>)> {
    if let Some((reading, name)) = here.name() {
        let words = read(here, &reading, &name)?;
        return Some((words, reading.span));
    }
    match &here.spot {
        Spot::Key { table, span, .. } => {
            let name = super::outline::unquoted(&here.text[span.clone()]);
            Some((key(here, table, name)?, span.clone()))
        }
        Spot::Header { before, span } => {
            let name = super::outline::unquoted(&here.text[span.clone()]);
            Some((key(here, before, name)?, span.clone()))
        }
        Spot::Text { path, literal } => {
            let word = super::outline::unquoted(&here.text[literal.clone()]);
            Some((self::word(here, path, word)?, literal.clone()))
        }
        Spot::Value { path, span } => {
            let (name, table) = path.split_last()?;
            Some((key(here, table, name)?, span.clone()))
        }
        Spot::Other => None,
    }
}

/// What a key means.
fn key(here: &Here<'_>, path: &[String], name: &str) -> Option<String> {
    let table = here.table(path)?;
    if let Some(key) = table.key(name) {
        let words: Vec<_> = key.takes.iter().flat_map(of_key).collect();
        let words = if words.is_empty() { String::new() } else { format!("\n\n{}", words.join("\n")) };
        return Some(format!("{}{words}\n\n```toml\n{name} = {}\n```", key.doc, key.example));
    }
    let words = match table.named.as_ref()?.what {
        Names::Claim => claim_doc(here, name),
        Names::Finding => Code::parse(name).map(page)?,
        Names::Call => call(here, name)?,
        _ => String::new(),
    };
    if words.is_empty() { Some(table.doc.to_owned()) } else { Some(words) }
}

/// The words that a key takes, one a line.
fn of_key(takes: &Takes) -> Vec<String> {
    let words = match takes {
        Takes::Word(words @ (Words::Given(_) | Words::Errors | Words::Types)) => meanings(*words),
        Takes::Integer(least, most) if *most < i64::MAX => return vec![format!("- from {least} to {most}")],
        _ => Vec::new(),
    };
    words.into_iter().map(|(word, doc)| format!("- `{word}`: {doc}")).collect()
}

/// What one of several words means.
fn word(here: &Here<'_>, path: &[String], word: &str) -> Option<String> {
    let words = here.words(path)?;
    match words {
        Words::Receivers => receiver(Contract::find(word)?),
        Words::Calls => call(here, word),
        Words::Claims => Some(claim_doc(here, word)).filter(|doc| !doc.is_empty()),
        _ => meanings(words).into_iter().find(|(name, _)| name == word).map(|(name, doc)| format!("`{name}`: {doc}")),
    }
}

fn receiver(contract: &Contract) -> Option<String> {
    let identifies = contract.identifies().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", else ");
    let identifies = if identifies.is_empty() { "what its own mapping says".into() } else { identifies };
    let claims: Vec<_> =
        contract.claims().take(30).map(|claim| format!("- `{claim}`: {}", contract.says(claim))).collect();
    Some(format!("**{}**: the user is {identifies}.\n\n{}", contract.title, claims.join("\n")))
}

/// A page about a kind of problem, up to its examples.
pub(crate) fn page(code: Code) -> String {
    let text = code.page().text;
    let words = text.split("\n## Wrong").next().unwrap_or(text).trim_end();
    format!(
        "**{}** ({})\n\n{words}\n\n`claimsmith explain {}` has examples.",
        code.id(),
        code.severity().name(),
        code.id()
    )
}

/// What an expression reads.
fn read(here: &Here<'_>, reading: &Reading, name: &str) -> Option<String> {
    let names = reading.names();
    let rhai = reading.language == Language::Rhai;
    let called = here.text[reading.span.end..].starts_with('(');
    if rhai && let Some(function) = Function::named(name).filter(|_| called || names.is_empty()) {
        let (signature, doc, example, result) = (function.signature, function.doc, function.example, function.result);
        return Some(format!("```\n{signature}\n```\n{doc}\n\n```\n{example}\n```\nis `{result}`"));
    }
    match names[..] {
        [] if here.declared("call").contains(&name) => call(here, name),
        [] => root(name),
        ["vars"] => declared(here, "vars", name),
        ["secrets"] => declared(here, "secrets", name),
        ["meta"] => call(here, name),
        _ => member(here, &reading.chain.steps, name),
    }
}

fn root(name: &str) -> Option<String> {
    let words = match name {
        "vars" => "The vars of the rule, with the operator's values.",
        "secrets" => "The secrets of the rule; only in the texts of a call.",
        "request" => "What `[request]` shows of the caller's request.",
        "meta" => "`status` and `headers` of each answer, by the name of its call.",
        "token" => "The caller's token in `${…}` of a call; elsewhere what `[token]` knows of it.",
        "claims" => "The claims that were made; a script may change them.",
        "each" => "The value that the call is made for.",
        _ => return None,
    };
    Some(words.to_owned())
}

/// A call: its address, and what was recorded.
fn call(here: &Here<'_>, name: &str) -> Option<String> {
    let rule = here.rule.as_ref()?;
    let url = rule.outline.value(&rule.text, &["call", name, "url"]).unwrap_or_default();
    let recorded = recorded(here, &[Step::Name(name.to_owned())]);
    Some(format!("the call `{name}`: `{url}`{recorded}"))
}

/// A var or secret as it is declared.
fn declared(here: &Here<'_>, table: &str, name: &str) -> Option<String> {
    let rule = here.rule.as_ref()?;
    let key = rule.outline.key(&[table, name])?;
    let line = rule.text[key.span.start..].lines().next().unwrap_or_default();
    Some(format!("```toml\n[{table}]\n{line}\n```"))
}

/// A member of an answer, with what was recorded.
fn member(here: &Here<'_>, steps: &[Step], name: &str) -> Option<String> {
    let mut steps = steps.to_vec();
    steps.push(Step::Name(name.to_owned()));
    let recorded = recorded(here, &steps);
    (!recorded.is_empty()).then(|| format!("`{name}`{recorded}"))
}

/// Values that were recorded, each once.
fn recorded(here: &Here<'_>, steps: &[Step]) -> String {
    const MOST: usize = 5;
    let mut words = Vec::new();
    for value in here.samples.at(steps) {
        let line = format!("- {}", samples::words(value));
        if words.len() < MOST && !words.contains(&line) {
            words.push(line);
        }
    }
    if words.is_empty() { String::new() } else { format!("\n\nin the cases:\n{}", words.join("\n")) }
}
