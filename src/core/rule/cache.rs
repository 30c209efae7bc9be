//! `cache`, of a call or of the whole rule: how long an answer is used again.

use std::{sync::Arc, time::Duration};

use toml::de::DeValue;

use super::{
    place,
    text::{Fields, Reader, Text},
    words,
};
use crate::core::problem::{Code, Problem, Problems, Source, Span};

/// `cache` as written.
#[derive(Debug)]
pub struct Cache {
    /// Where it stands.
    pub span: Span,
    /// How long an answer is as good as a new one.
    pub ttl: Option<Text>,
    /// How long afterwards it stands in for one that cannot be had.
    pub stale: Option<Text>,
    /// How long it is remembered that a token was refused.
    pub refused: Option<Text>,
    /// The author says that the requests change nothing.
    pub safe: bool,
}

/// How long answers are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// As if they were new.
    pub ttl: Duration,
    /// Afterwards, where a new one cannot be had.
    pub stale: Duration,
    /// That the token was refused.
    pub refused: Duration,
}

/// The longest that an answer is used again: whoever left or lost a right is gone then.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The longest that a refusal is remembered: a token may become good, but none that is asked for every second will.
const LONGEST_REFUSAL: Duration = Duration::from_secs(60);

pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Cache> {
    let value = fields.get("cache")?;
    match value.get_ref() {
        DeValue::String(_) => {
            let ttl = reader.as_text(value, "cache");
            return Some(Cache { span: value.span(), ttl, stale: None, refused: None, safe: false });
        }
        DeValue::Table(_) => {}
        _ => {
            reader.wrong_type("cache", value, "a duration or a table");
            return None;
        }
    }
    let table = reader.as_table(value, "cache")?;
    reader.known(&table, &words::CACHE);
    let ttl = reader.required_text(&table, "ttl", "say how long an answer is used again: `ttl = \"1m\"`");
    Some(Cache {
        span: table.span(),
        ttl,
        stale: reader.text(&table, "stale"),
        refused: reader.text(&table, "refused"),
        safe: reader.flag(&table, "safe"),
    })
}

impl Cache {
    /// The durations; `None` if there was a problem with one.
    pub fn lifetimes(&self, source: &Arc<Source>, problems: &mut Problems) -> Option<Lifetimes> {
        let mut of = |text: &Option<Text>, name: &str, longest: Duration, bounds: &str| match text {
            None => Some(Duration::ZERO),
            Some(text) => duration(source, text, &format!("`{name}`"), longest, bounds, problems),
        };
        let ttl = of(&self.ttl, "ttl", LONGEST, "from `0s`, which keeps nothing, to `24h`");
        let stale = of(&self.stale, "stale", LONGEST, "up to `24h`");
        let refused = of(&self.refused, "refused", LONGEST_REFUSAL, "up to `60s`");
        Some(Lifetimes { ttl: ttl?, stale: stale?, refused: refused? })
    }
}

fn duration(
    source: &Arc<Source>,
    text: &Text,
    what: &str,
    longest: Duration,
    bounds: &str,
    problems: &mut Problems,
) -> Option<Duration> {
    let parsed = text.value.parse::<jiff::SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
    let sound = parsed.filter(|parsed| *parsed <= longest);
    if sound.is_none() {
        let (message, label, help) = match parsed {
            Some(_) => (format!("{what} of a cache cannot be `{}`", text.value), "out of range", bounds),
            None => (format!("not a duration: `{}`", text.value), "no number with a unit", "for example `30s` or `5m`"),
        };
        problems.add(Problem::new(Code::BadValue, place(source, &text.span), message).label(label).help(help));
    }
    sound
}
