//! A compiled rule for people: its calls, who reads their answers, and how long it all may take.

use std::{collections::BTreeSet, time::Duration};

use super::{calls, claims::Reader as Part, compile::CompiledRule, rule::Lifetimes, token::Check, value::Mentions};

/// A rule for people.
#[derive(Clone, Debug)]
pub struct Outline {
    /// How the caller's token is verified before any call, and how long that may take; `None` in it where only the
    /// deadline ends it.
    pub token: Option<(&'static str, Option<Duration>)>,
    /// How long the whole answer is used again.
    pub cache: Option<Lifetimes>,
    /// The calls, in the order of the rule.
    pub calls: Vec<calls::Outline>,
    /// What reads the answers, in the order in which it runs.
    pub readers: Vec<Reader>,
    /// The calls that wait for one another the longest.
    pub longest: LongestPath,
}

/// A part of a rule that reads answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// `require`, `include`, `claim` or `script`.
    pub kind: &'static str,
    /// The guard's expression, the path or the name; empty for the script.
    pub name: String,
    /// The calls whose answers it reads.
    pub calls: Vec<usize>,
}

/// Calls of which each waits for the one before, and how long they may take together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongestPath {
    /// Their numbers, the first to run first.
    pub calls: Vec<usize>,
    /// How many steps of it have no limit of their own; the verification of the token is one.
    pub unlimited: usize,
    /// How long the others may take.
    pub time: Duration,
}

impl CompiledRule {
    /// What there is to say of the rule.
    pub fn outline(&self) -> Outline {
        let token = self.token.as_ref().map(Check::outline);
        let calls = self.calls.outline();
        let longest = longest(&calls, token.map(|(_, limit)| limit));
        Outline { token, cache: self.cache, calls, readers: self.readers(), longest }
    }

    /// Whom it may ask: scheme, host and port.
    pub fn origins(&self) -> BTreeSet<String> {
        let issuer = self.token.iter().filter_map(Check::endpoint).map(|url| url.origin().ascii_serialization());
        self.calls.origins().chain(issuer).collect()
    }

    fn readers(&self) -> Vec<Reader> {
        let reader = |kind, name: &str, mentions: &Mentions| Reader {
            kind,
            name: name.to_owned(),
            calls: self.calls.read_by(mentions),
        };
        let guards = self.require.readers().map(|(that, mentions)| reader("require", that, &mentions));
        let claims = self.claims.readers().map(|(part, mentions)| match part {
            Part::Include(path) => reader("include", path, &mentions),
            Part::Claim(name) => reader("claim", name, &mentions),
        });
        let script = self.script.iter().map(|script| reader("script", "", script.mentions()));
        guards.chain(claims).chain(script).collect()
    }
}

/// The path that takes longest when every limit is reached; what has no limit of its own counts more than what has.
fn longest(calls: &[calls::Outline], token: Option<Option<Duration>>) -> LongestPath {
    let step = |limit: Option<Duration>| (usize::from(limit.is_none()), limit.unwrap_or_default());
    let first = token.map_or((0, Duration::ZERO), step);
    let mut ends: Vec<LongestPath> = vec![LongestPath::default(); calls.len()];
    let mut numbers: Vec<_> = (0..calls.len()).collect();
    numbers.sort_by_key(|number| calls[*number].round);
    for number in numbers {
        let call = &calls[number];
        let before =
            call.needs.iter().rev().map(|need| &ends[need.call]).max_by_key(|path| (path.unlimited, path.time));
        let mut path = before.cloned().unwrap_or(LongestPath { calls: Vec::new(), unlimited: first.0, time: first.1 });
        let (unlimited, time) = step(call.longest);
        path.calls.push(number);
        path.unlimited += unlimited;
        path.time = path.time.saturating_add(time);
        ends[number] = path;
    }
    let alone = LongestPath { calls: Vec::new(), unlimited: first.0, time: first.1 };
    // Of several the first is named: the last of equals counts as the greatest.
    ends.into_iter().rev().max_by_key(|path| (path.unlimited, path.time)).unwrap_or(alone)
}
