//! What is at one place of one text, with all that is known around it.

use std::ops::Range;

use super::{
    chain::{self, Chain, Step},
    outline::{Outline, Spot, inside, spot},
    samples::Samples,
};
use crate::core::{
    MAX_SOURCE, end_of_expression,
    words::{CASES, Language, RULE, Table, Takes, Words},
};

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule,
    Cases,
    Script,
    Settings,
}

/// The rule that a text belongs to.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) uri: String,
    pub(crate) text: String,
    pub(crate) outline: Outline,
}

impl Rule {
    pub(crate) fn new(uri: &str, text: String) -> Rule {
        let outline = if text.len() <= MAX_SOURCE { Outline::new(&text) } else { Outline::default() };
        Rule { uri: uri.to_owned(), text, outline }
    }
}

/// A place of a text.
pub(crate) struct Here<'a> {
    pub(crate) kind: Kind,
    /// The table that the whole text is, if it is one.
    whole: Option<&'static Table>,
    pub(crate) text: &'a str,
    pub(crate) outline: Outline,
    pub(crate) at: usize,
    pub(crate) spot: Spot,
    /// The rule that the text is, or belongs to.
    pub(crate) rule: Option<Rule>,
    pub(crate) samples: Samples,
}

/// An expression that reads the document, up to a place in it.
pub(crate) struct Reading {
    pub(crate) chain: Chain,
    /// What is typed of the last name, in the whole text.
    pub(crate) span: Range<usize>,
    pub(crate) language: Language,
    /// Token and secrets are there.
    pub(crate) private: bool,
    /// The claims that were made are there.
    pub(crate) script: bool,
}

impl<'a> Here<'a> {
    /// A place of a text; `settings` are the words of the settings, for a text that is of those.
    pub(crate) fn new(
        (kind, settings): (Kind, Option<&'static Table>),
        text: &'a str,
        at: usize,
        rule: Option<Rule>,
        samples: Samples,
    ) -> Option<Here<'a>> {
        if text.len() > MAX_SOURCE {
            return None;
        }
        let whole = match kind {
            Kind::Rule => Some(&RULE),
            Kind::Cases => Some(&CASES),
            Kind::Settings => settings,
            Kind::Script => None,
        };
        let (outline, spot) = match kind {
            Kind::Script => (Outline::default(), Spot::Other),
            _ => (Outline::new(text), spot(text, at)),
        };
        Some(Here { kind, whole, text, outline, at, spot, rule, samples })
    }

    /// The table at a path.
    pub(crate) fn table(&self, path: &[String]) -> Option<&'static Table> {
        let mut table = self.whole?;
        for name in path {
            table = Takes::table(table.takes(name)?)?;
        }
        Some(table)
    }

    /// What the value at a path may be.
    pub(crate) fn takes(&self, path: &[String]) -> Option<&'static [Takes]> {
        let (name, table) = path.split_last()?;
        self.table(table)?.takes(name)
    }

    /// The names of what the rule declares in a table: `call`, `vars`, `secrets`, `claims`.
    pub(crate) fn declared(&self, table: &str) -> Vec<&str> {
        self.rule.as_ref().map(|rule| rule.outline.names(&[table])).unwrap_or_default()
    }

    /// The words of which the value at a path is one.
    pub(crate) fn words(&self, path: &[String]) -> Option<Words> {
        self.takes(path)?.iter().find_map(|takes| match takes {
            Takes::Word(words) => Some(*words),
            _ => None,
        })
    }

    /// The language of the text at a path.
    fn language(&self, path: &[String]) -> Option<Language> {
        let of = |takes: &Takes| match takes {
            Takes::Text(language) => Some(*language),
            Takes::List(items) => items.iter().find_map(|item| match item {
                Takes::Text(language) => Some(*language),
                _ => None,
            }),
            Takes::Value => Some(Language::Value),
            _ => None,
        };
        match self.takes(path) {
            Some(takes) => takes.iter().find_map(of).or_else(|| takes_json(takes).then_some(Language::Template)),
            // Inside a body that may be anything.
            None if path.first().is_some_and(|first| first == "call") && path.len() > 2 => Some(Language::Template),
            None => None,
        }
    }

    /// The expression at the place, up to `to`, which is the place or a little after it.
    pub(crate) fn reading(&self, to: usize) -> Option<Reading> {
        let (language, literal, private, script) = match (&self.spot, self.kind) {
            (_, Kind::Script) => (Language::Rhai, 0..self.text.len(), false, true),
            (Spot::Text { path, literal }, Kind::Rule) => {
                let inner = inside(&self.text[literal.clone()]);
                let literal = literal.start + inner.start..literal.start + inner.end;
                let private = matches!(path.first().map(String::as_str), Some("call" | "token"));
                let script = path.first().is_some_and(|first| first == "script");
                (self.language(path)?, literal, private, script)
            }
            _ => return None,
        };
        let to = to.clamp(literal.start, literal.end);
        let before = &self.text[literal.start..to];
        let (chain, base, language, private) = match language {
            Language::Path | Language::Value if before.starts_with('$') && !before.starts_with("${") => {
                (chain::of_path(before)?, literal.start, Language::Path, false)
            }
            Language::Template | Language::Value => {
                let open = open_expression(before)?;
                (chain::of_rhai(&before[open..]), literal.start + open, Language::Rhai, private)
            }
            Language::Rhai => (chain::of_rhai(before), literal.start, Language::Rhai, false),
            _ => return None,
        };
        let span = base + chain.start..to;
        Some(Reading { chain, span, language, private, script })
    }

    /// The expression whose name the place is in, with the whole of the name.
    pub(crate) fn name(&self) -> Option<(Reading, String)> {
        let rest = &self.text[self.at.min(self.text.len())..];
        let to = self.at + rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let reading = self.reading(to)?;
        let name = self.text.get(reading.span.clone())?.to_owned();
        (!name.is_empty()).then_some((reading, name))
    }
}

impl Reading {
    /// The names of the steps, if they all are names.
    pub(crate) fn names(&self) -> Vec<&str> {
        let names = self.chain.steps.iter().map_while(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Each => None,
        });
        names.collect()
    }
}

fn takes_json(takes: &[Takes]) -> bool {
    takes.iter().any(|takes| matches!(takes, Takes::Json))
}

/// The start of the expression that is open at the end of a text.
fn open_expression(before: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(start) = before[from..].find("${").map(|at| from + at + 2) {
        match end_of_expression(before, start) {
            Some(end) => from = end,
            None => return Some(start),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_open_until_its_brace() {
        for (before, expected) in [
            ("a${user.", Some(3)),
            ("a${user.id}", None),
            ("a${user.id}b${", Some(14)),
            ("${#{a: 1}.", Some(2)),
            ("${ \"}\" + ", Some(2)),
            ("a$", None),
        ] {
            assert_eq!(open_expression(before), expected, "{before}");
        }
    }
}
