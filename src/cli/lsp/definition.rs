//! Where the thing that is mentioned at a place is declared.

use std::ops::Range;

use crate::{
    authoring::{
        here::{Here, Kind},
        outline::{Outline, Spot, unquoted},
    },
    core::words::{Names, Words},
};

/// Where to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A place of the rule.
    Rule(Range<usize>),
    /// A file beside it.
    File(String),
}

/// The declaration of what is mentioned at a place.
pub(super) fn definition(here: &Here<'_>) -> Option<Target> {
    if let Some((reading, name)) = here.name() {
        return match reading.names()[..] {
            ["vars"] => declared(here, &["vars", &name]),
            ["secrets"] => declared(here, &["secrets", &name]),
            ["claims"] if reading.script => declared(here, &["claims", &name]),
            ["meta"] | [] => declared(here, &["call", &name]).or_else(|| declared(here, &[&name])),
            // A member is declared by the call that answers it.
            [call, ..] => declared(here, &["call", call]),
        };
    }
    match &here.spot {
        Spot::Text { path, literal } => {
            let word = unquoted(&here.text[literal.clone()]);
            match here.words(path) {
                Some(Words::Calls) => declared(here, &["call", word]),
                Some(Words::Claims) => declared(here, &["claims", word]),
                _ => file(path, word),
            }
        }
        Spot::Key { table, span, .. } if here.kind == Kind::Cases => {
            let name = unquoted(&here.text[span.clone()]);
            let what = here.table(table)?.named.as_ref()?.what;
            match what {
                Names::Claim => declared(here, &["claims", name]),
                Names::Var => declared(here, &["vars", name]),
                Names::Secret => declared(here, &["secrets", name]),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A file beside the rule that a value names: a script, or the body of an answer.
fn file(path: &[String], name: &str) -> Option<Target> {
    let names: Vec<_> = path.iter().map(String::as_str).collect();
    matches!(names[..], ["script", "file"] | ["case", "answer", "file"]).then(|| Target::File(name.to_owned()))
}

/// Where the rule declares a name.
fn declared(here: &Here<'_>, path: &[&str]) -> Option<Target> {
    let outline: &Outline = &here.rule.as_ref()?.outline;
    outline.key(path).map(|entry| Target::Rule(entry.span.clone()))
}
