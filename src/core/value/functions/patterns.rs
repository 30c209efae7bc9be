//! Regular expressions. The `regex` crate takes linear time whatever a pattern says; what that
//! leaves open is bounded here: the length of patterns and texts, and how large a pattern may become. The larger it is,
//! the shorter is the text.

use std::{cell::RefCell, time::Duration};

use regex::{Captures, Regex, RegexBuilder};
use rhai::{Dynamic, ImmutableString};

use super::{Call, Raw};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 512;
/// How large a compiled pattern may be, in bytes. The smallest that suffices is taken: the largest is enough for a few
/// classes of all of Unicode.
const SIZES: [usize; 3] = [16 * 1024, 64 * 1024, 256 * 1024];
/// A search takes, at worst, time for each byte of the pattern and of the text: so many at most for both.
const WORK: usize = 128 * 1024 * 1024;
/// Time for all matches of one call: each search is linear, but there may be as many as characters.
const BUDGET: Duration = Duration::from_millis(50);
/// How many compiled patterns each thread keeps.
const KEPT: usize = 32;

thread_local! {
    /// Compiled patterns, the one that was compiled last at the end.
    static PATTERNS: RefCell<Vec<(Box<str>, Pattern)>> = const { RefCell::new(Vec::new()) };
}

/// A compiled pattern.
#[derive(Clone)]
struct Pattern {
    regex: Regex,
    /// The longest text that it searches, in bytes.
    longest: usize,
}

pub(super) fn regex_match(call: &Call<'_>) -> Raw<Dynamic> {
    let (text, regex) = search(call)?;
    Ok(regex.is_match(&text).into())
}

pub(super) fn regex_find(call: &Call<'_>) -> Raw<Dynamic> {
    let (text, regex) = search(call)?;
    let group = usize::from(regex.captures_len() > 1);
    let found = regex.captures(&text).and_then(|captures| Some(captures.get(group)?.as_str().to_owned()));
    Ok(found.map_or(Dynamic::UNIT, Into::into))
}

pub(super) fn regex_replace(call: &Call<'_>) -> Raw<Dynamic> {
    let (text, regex) = search(call)?;
    let with = call.text(2)?;
    let started = (call.clocks.steady)();
    let (mut replaced, mut from) = (String::with_capacity(text.len()), 0);
    for captures in regex.captures_iter(&text) {
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

/// The text and the pattern of a call.
fn search(call: &Call<'_>) -> Raw<(ImmutableString, Regex)> {
    let text = call.text(0)?;
    let Pattern { regex, longest } = pattern(call)?;
    if text.len() > longest {
        return Err(call.fault(format_args!("searches at most {longest} bytes with this pattern")));
    }
    Ok((text, regex))
}

/// The compiled pattern of a call. Patterns stand in the rule, so after a few requests all are there.
fn pattern(call: &Call<'_>) -> Raw<Pattern> {
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

fn compile(pattern: &str) -> Result<Pattern, &'static str> {
    if pattern.len() > MAX_PATTERN {
        return Err("it has more than 512 bytes");
    }
    for size in SIZES {
        let compiled = RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).nest_limit(32).build();
        match compiled {
            Ok(regex) => return Ok(Pattern { regex, longest: WORK / size }),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(_) => return Err("it is no regular expression of the `regex` crate"),
        }
    }
    Err("it stands for too much: repeat less, or `[0-9]` instead of `\\d`")
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use rhai::{Dynamic, EvalAltResult, Scope};

    use super::{
        super::{
            Fault,
            tests::{check, run},
        },
        KEPT, PATTERNS, SIZES, WORK, check as fault, compile,
    };
    use crate::core::value::{Engine, engine::Sizes};

    #[test]
    fn matches_are_found_and_replaced() {
        check(&[
            ("regex_match(\"abc\", \"b\")", "true"),
            ("regex_match(\"abc\", \"^b\")", "false"),
            ("regex_match(\"Élodie\", \"(?i)^é\")", "true"),
            ("regex_match(\"\", \"\")", "true"),
            ("regex_find(\"a1b22\", \"[0-9]+\")", "\"1\""),
            ("regex_find(\"a1b22\", \"b([0-9]+)\")", "\"22\""),
            ("regex_find(\"a1\", \"(x)?a\")", "absent"),
            ("regex_find(\"a1\", \"x\")", "absent"),
            ("regex_replace(\"a1b22\", \"[0-9]+\", \"-\")", "\"a-b-\""),
            ("regex_replace(\"abc\", \"\", \"-\")", "\"-a-b-c-\""),
            ("regex_replace(\"abc\", \"x\", \"-\")", "\"abc\""),
            ("regex_replace(\"abc\", \"(?<x>b)\", \"[${x}$$$9]\")", "\"a[b$]c\""),
        ]);
    }

    #[test]
    fn what_is_no_pattern_is_refused_without_being_told() {
        for (pattern, why) in [
            ("(", "it is no regular expression of the `regex` crate"),
            ("(?=a)", "it is no regular expression of the `regex` crate"),
            ("(a)\\\\1", "it is no regular expression of the `regex` crate"),
            ("\\\\w{500}", "it stands for too much: repeat less, or `[0-9]` instead of `\\d`"),
            ("((a{100}){100}){100}", "it stands for too much: repeat less, or `[0-9]` instead of `\\d`"),
            (&"a".repeat(513), "it has more than 512 bytes"),
        ] {
            let expected = format!("!`regex_match` cannot use this pattern: {why}");
            check(&[(&format!("regex_match(\"x\", \"{pattern}\")"), &expected)]);
        }
        assert_eq!(fault(&"(".repeat(33)), Err("it is no regular expression of the `regex` crate"));
        for (pattern, longest) in
            [("/users/([^/?]+)", 8_192), (r"^\d+$", 8_192), (r"\w+", 2_048), (r"(\w+)@(\w+)\.(\w+)", 512)]
        {
            assert_eq!(compile(pattern).map(|pattern| pattern.longest), Ok(longest), "{pattern}");
        }
        assert_eq!(fault(r"^[\w.+-]+@([\w-]+\.)+\w+$"), Ok(()), "a usual pattern is not too large");
    }

    #[test]
    fn texts_and_what_becomes_of_them_are_bounded() {
        // A document may hold longer texts than a script may build.
        let long = Dynamic::from("a".repeat(WORK / SIZES[0] + 1));
        let mut sizes = Sizes::default();
        sizes.add(&long);
        let engine = Engine::new(|| Duration::ZERO, || Duration::ZERO);
        let mut scope = Scope::new();
        scope.push_constant_dynamic("long", long);
        let mut ask = |text| engine.with_room(sizes).eval_with_scope::<Dynamic>(&mut scope, text);
        let told = ask("regex_match(long, \"a\")").map_err(|error| match *error {
            EvalAltResult::ErrorRuntime(fault, _) => fault.cast::<Fault>().0,
            other => other.to_string(),
        });
        assert_eq!(told.map(|_| ()), Err("`regex_match` searches at most 8192 bytes with this pattern".into()));
        let text = "a".repeat(1000);
        for with in ["b".repeat(100), "$0".repeat(100)] {
            let told = run(&format!("regex_replace(`{text}`, \"a|^a+\", `{with}`)")).expect_err("it is too long");
            assert!(told.contains("Length of string"), "{told}");
        }
        let told =
            run(&format!("regex_replace(`{text}`, \"a+\", `{}`)", "$0".repeat(100))).expect_err("it is too long");
        assert!(told.contains("Length of string"), "{told}");
    }

    #[test]
    fn no_more_than_some_patterns_are_kept() {
        for number in 0..KEPT * 2 {
            assert_eq!(run(&format!("regex_match(\"x{number}\", \"x{number}\")")).as_deref(), Ok("true"));
        }
        assert_eq!(PATTERNS.with_borrow(Vec::len), KEPT);
    }

    #[test]
    fn many_matches_have_a_bound_of_time() {
        thread_local!(static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) });
        let clock = || {
            TIME.set(TIME.get() + Duration::from_millis(1));
            TIME.get()
        };
        let engine = Engine::new(clock, clock);
        let ask = |count: usize| {
            let text = format!("regex_replace(`{}`, \"a\", \"b\").len()", "a".repeat(count));
            engine.rhai.eval::<i64>(&text).map_err(|error| error.to_string().contains("Fault"))
        };
        assert_eq!(ask(40), Ok(40));
        assert_eq!(ask(60), Err(true), "each match takes a millisecond here");
    }

    /// A pattern that makes other engines take exponential time, and the largest that ours may become.
    #[test]
    fn patterns_that_run_away_elsewhere_end_here() {
        let text = "a".repeat(WORK / SIZES[0] - 1);
        check(&[
            (&format!("regex_match(`{text}!`, \"^(a+)+$\")"), "false"),
            (&format!("regex_match(`{text}!`, \"(a|a)*b\")"), "false"),
        ]);
    }
}
