//! Regular expressions. The `regex` crate takes linear time whatever a pattern says; what that
//! leaves open is bounded here: the length of patterns and texts, and how large a pattern may become.

use std::{cell::RefCell, time::Duration};

use regex::{Captures, Regex, RegexBuilder};
use rhai::Dynamic;

use super::{Call, Raw};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 512;
/// How large a compiled pattern may be, in bytes: enough for a few classes of all of Unicode.
const MAX_COMPILED: usize = 256 * 1024;
/// The longest text that is searched, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Time for all matches of one call: each search is linear, but there may be as many as characters.
const BUDGET: Duration = Duration::from_millis(50);
/// How many compiled patterns each thread keeps.
const KEPT: usize = 32;

thread_local! {
    /// Compiled patterns, the one that was compiled last at the end.
    static PATTERNS: RefCell<Vec<(Box<str>, Regex)>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn regex_match(call: &Call<'_>) -> Raw<Dynamic> {
    let text = searched(call)?;
    Ok(pattern(call)?.is_match(&text).into())
}

pub(super) fn regex_find(call: &Call<'_>) -> Raw<Dynamic> {
    let text = searched(call)?;
    let pattern = pattern(call)?;
    let group = usize::from(pattern.captures_len() > 1);
    let found = pattern.captures(&text).and_then(|captures| Some(captures.get(group)?.as_str().to_owned()));
    Ok(found.map_or(Dynamic::UNIT, Into::into))
}

pub(super) fn regex_replace(call: &Call<'_>) -> Raw<Dynamic> {
    let (text, with) = (searched(call)?, call.text(2)?);
    let pattern = pattern(call)?;
    let started = (call.clocks.steady)();
    let (mut replaced, mut from) = (String::with_capacity(text.len()), 0);
    for captures in pattern.captures_iter(&text) {
        if (call.clocks.steady)().saturating_sub(started) > BUDGET {
            return Err(call.fault("takes longer than 50 ms"));
        }
        let whole = captures.get_match();
        replaced.push_str(&text[from..whole.start()]);
        call.fits(replaced.len() + growth(&captures, &with))?;
        captures.expand(&with, &mut replaced);
        from = whole.end();
    }
    replaced.push_str(&text[from..]);
    call.fits(replaced.len())?;
    Ok(replaced.into())
}

/// Why a text is no pattern for us.
pub(super) fn check(pattern: &str) -> Result<(), &'static str> {
    compile(pattern).map(|_| ())
}

/// At most so much is added for one match: every `$` may stand for all of it.
fn growth(captures: &Captures<'_>, with: &str) -> usize {
    with.len() + with.matches('$').count() * captures.get_match().len()
}

fn searched(call: &Call<'_>) -> Raw<rhai::ImmutableString> {
    let text = call.text(0)?;
    if text.len() > MAX_TEXT {
        return Err(call.fault("searches texts of at most 16 KiB"));
    }
    Ok(text)
}

/// The compiled pattern of a call. Patterns stand in the rule, so after a few requests all are there.
fn pattern(call: &Call<'_>) -> Raw<Regex> {
    let text = call.text(1)?;
    PATTERNS.with_borrow_mut(|kept| {
        if let Some((_, pattern)) = kept.iter().find(|(pattern, _)| **pattern == *text.as_str()) {
            return Ok(pattern.clone());
        }
        let pattern = compile(&text).map_err(|why| call.fault(format_args!("cannot use this pattern: {why}")))?;
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((text.as_str().into(), pattern.clone()));
        Ok(pattern)
    })
}

fn compile(pattern: &str) -> Result<Regex, &'static str> {
    if pattern.len() > MAX_PATTERN {
        return Err("it has more than 512 bytes");
    }
    let compiled =
        RegexBuilder::new(pattern).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(32).build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it stands for too much: repeat less, or `[0-9]` instead of `\\d`",
        _ => "it is no regular expression of the `regex` crate",
    })
}
