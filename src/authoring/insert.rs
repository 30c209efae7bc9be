//! What is to be written at a place so that the rule reads a value of the document.

use std::ops::Range;

use serde::Deserialize;

use super::{
    here::{Here, Kind},
    outline::{Spot, inside},
};
use crate::core::{
    Standard, end_of_expression, is_claim_name,
    words::{Language, Takes},
};

/// One step to a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// A member.
    Name(String),
    /// An element.
    Index(usize),
    /// The element, of those in a list, whose member is true.
    Where {
        /// The member.
        name: String,
        /// The number of the element.
        at: usize,
    },
}

/// What is written, in whose place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Insertion {
    pub(super) span: Range<usize>,
    pub(super) text: String,
}

/// What has to be written at a place to read the value at the end of some steps.
pub(super) fn insert(here: &Here<'_>, steps: &[Step]) -> Option<Insertion> {
    let at = here.at.min(here.text.len());
    let put = |span: Range<usize>, text: String| Some(Insertion { span, text });
    if here.kind != Kind::Rule || steps.is_empty() {
        return None;
    }
    match &here.spot {
        Spot::Text { path, literal } => {
            let inner = inside(&here.text[literal.clone()]);
            let inner = literal.start + inner.start..literal.start + inner.end;
            let written = &here.text[inner.clone()];
            let takes = here.takes(path).unwrap_or_default();
            let rhai = takes.iter().any(|one| matches!(one, Takes::Text(Language::Rhai)));
            let value =
                takes.iter().any(|one| matches!(one, Takes::Value | Takes::Text(Language::Path | Language::Value)));
            if rhai {
                return put(at..at, as_rhai(steps));
            }
            if value && (written.is_empty() || written.starts_with('$') && !written.starts_with("${")) {
                return put(inner, as_path(steps, &here.text[literal.clone()]));
            }
            match is_in_expression(&here.text[inner.start..at]) {
                true => put(at..at, as_rhai(steps)),
                false => put(at..at, format!("${{{}}}", as_rhai(steps))),
            }
        }
        Spot::Value { path, span } => {
            let takes = here.takes(path).unwrap_or_default();
            let text = format!("\"{}\"", as_path(steps, "\""));
            let value = takes.iter().any(|one| matches!(one, Takes::Value | Takes::Text(_)));
            put(if value { span.clone() } else { at..at }, text)
        }
        Spot::Key { table, span, .. } if table.first().is_some_and(|first| first == "claims") && table.len() == 1 => {
            let line = format!("{} = \"{}\"", claim_of(here, steps), as_path(steps, "\""));
            if span.is_empty() {
                return put(at..at, line);
            }
            // Another claim stands here: this one comes after it.
            let end = at + here.text[at..].find('\n').unwrap_or(here.text.len() - at);
            put(end..end, format!("\n{line}"))
        }
        _ => put(at..at, as_path(steps, "'")),
    }
}

/// True if an expression is open at the end of a text.
fn is_in_expression(before: &str) -> bool {
    let mut from = 0;
    while let Some(start) = before[from..].find("${").map(|at| from + at + 2) {
        match end_of_expression(before, start) {
            Some(end) => from = end,
            None => return true,
        }
    }
    false
}

fn is_word(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// As a JSONPath, for a text that begins with these quotes.
fn as_path(steps: &[Step], literal: &str) -> String {
    // A literal string of TOML can hold no quote of its own.
    let quote = if literal.starts_with('\'') { '"' } else { '\'' };
    let mut path = "$".to_owned();
    for step in steps {
        match step {
            Step::Name(name) if is_word(name) => path.push_str(&format!(".{name}")),
            Step::Name(name) => {
                let name = name.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
                path.push_str(&format!("[{quote}{name}{quote}]"));
            }
            Step::Index(at) => path.push_str(&format!("[{at}]")),
            Step::Where { name, .. } if is_word(name) => path.push_str(&format!("[?@.{name} == true]")),
            Step::Where { at, .. } => path.push_str(&format!("[{at}]")),
        }
    }
    // A basic one has escapes of its own.
    if literal.starts_with('"') { path.replace('\\', "\\\\").replace('"', "\\\"") } else { path }
}

/// As an expression of Rhai.
fn as_rhai(steps: &[Step]) -> String {
    let mut chain = String::new();
    for step in steps {
        match step {
            Step::Name(name) if chain.is_empty() => chain.push_str(name),
            Step::Name(name) if is_word(name) => chain.push_str(&format!(".{name}")),
            Step::Name(name) => chain.push_str(&format!("[`{}`]", name.replace('`', ""))),
            Step::Index(at) | Step::Where { at, .. } => chain.push_str(&format!("[{at}]")),
        }
    }
    chain
}

/// The claim that a value most likely is.
fn claim_of(here: &Here<'_>, steps: &[Step]) -> String {
    let there = |name: &str| here.declared("claims").contains(&name);
    let name = steps.iter().rev().find_map(|step| match step {
        Step::Name(name) => Some(name.as_str()),
        _ => None,
    });
    let name = name.unwrap_or_default();
    let lower = name.to_lowercase();
    let known = Standard::find(&lower).map(|claim| claim.name).or(match &*lower {
        "id" | "uid" | "user_id" | "userid" | "openid" => Some("sub"),
        "mail" | "email_address" | "address" => Some("email"),
        "verified" | "is_verified" | "emailverified" => Some("email_verified"),
        "avatar" | "avatar_url" | "image" | "photo" => Some("picture"),
        "login" | "username" | "handle" => Some("preferred_username"),
        "display_name" | "displayname" | "full_name" => Some("name"),
        _ => None,
    });
    match known.filter(|known| !there(known)) {
        Some(known) => known.to_owned(),
        None if is_claim_name(name) && is_word(name) => name.to_owned(),
        None => format!("{name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::{here::Rule, samples::Samples};

    /// The text after a value was chosen with the cursor at `|`.
    fn written(text: &str, steps: &[Step]) -> String {
        let at = text.find('|').expect("there is a mark");
        let text = text.replacen('|', "", 1);
        let rule = Rule::new("acme.toml", text.clone());
        let here = Here::new((Kind::Rule, None), &text, at, Some(rule), Samples::default()).expect("it is small");
        let Insertion { span, text: put } = insert(&here, steps).expect("something can be written");
        format!("{}{put}{}", &text[..span.start], &text[span.end..])
    }

    fn name(name: &str) -> Step {
        Step::Name(name.into())
    }

    #[test]
    fn what_is_written_fits_where_it_stands() {
        let id = [name("user"), name("id")];
        for (before, after) in [
            ("[claims]\nsub = \"|\"", "[claims]\nsub = \"$.user.id\""),
            ("[claims]\nsub = \"$.uesr|.x\"", "[claims]\nsub = \"$.user.id\""),
            ("[claims]\nsub = |", "[claims]\nsub = \"$.user.id\""),
            ("[claims]\n|", "[claims]\nsub = \"$.user.id\""),
            ("[claims]\nsub = \"x\"\n|", "[claims]\nsub = \"x\"\nid = \"$.user.id\""),
            ("[claims]\nsub = [\"$.a\", \"|\"]", "[claims]\nsub = [\"$.a\", \"$.user.id\"]"),
            ("[claims]\nsub = { rhai = \"f(|)\" }", "[claims]\nsub = { rhai = \"f(user.id)\" }"),
            ("[claims]\nsub = \"a-|-b\"", "[claims]\nsub = \"a-${user.id}-b\""),
            ("[call.x]\nurl = \"https://x.example/|\"", "[call.x]\nurl = \"https://x.example/${user.id}\""),
            ("[call.x]\nurl = \"https://x.example/${|}\"", "[call.x]\nurl = \"https://x.example/${user.id}\""),
            ("[claims]\n|name = \"x\"\na = \"y\"", "[claims]\nname = \"x\"\nsub = \"$.user.id\"\na = \"y\""),
            ("# |", "# $.user.id"),
        ] {
            assert_eq!(written(before, &id), after, "{before}");
        }
    }

    #[test]
    fn names_of_any_form_are_quoted_for_their_language() {
        let steps = [name("user"), name("a-b"), Step::Where { name: "main".into(), at: 1 }, name("it's")];
        assert_eq!(
            written("[claims]\nsub = '|'", &steps),
            r#"[claims]
sub = '$.user["a-b"][?@.main == true]["it's"]'"#
        );
        assert_eq!(
            written("[claims]\nsub = \"|\"", &steps),
            "[claims]\nsub = \"$.user['a-b'][?@.main == true]['it\\\\'s']\""
        );
        assert_eq!(
            written("[claims]\nsub = { rhai = \"|\" }", &steps),
            "[claims]\nsub = { rhai = \"user[`a-b`][1][`it's`]\" }"
        );
    }
}
