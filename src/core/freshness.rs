//! How long an answer may be used again: by its own word (RFC 9111), and by the end of what it was given for.
//!
//! What is kept is kept for those alone who send the same request with the same credentials, as a browser keeps it. So
//! `private` is no hindrance and `s-maxage` says nothing.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

use super::message::Answer;

/// How long something may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// As if it were new.
    pub fresh: Duration,
    /// At all: afterwards only where a new one cannot be had.
    pub whole: Duration,
    /// Not once it is no longer fresh.
    pub strict: bool,
}

impl Freshness {
    /// Not at all.
    pub const NONE: Freshness = Freshness { fresh: Duration::ZERO, whole: Duration::ZERO, strict: true };
    /// As long as one likes.
    pub const UNBOUND: Freshness = Freshness { fresh: Duration::MAX, whole: Duration::MAX, strict: false };

    /// Of what is made of both.
    #[must_use]
    pub fn and(self, other: Freshness) -> Self {
        Freshness {
            fresh: self.fresh.min(other.fresh),
            whole: self.whole.min(other.whole),
            strict: self.strict || other.strict,
        }
    }

    /// How long it is fresh, and how long it is kept, where a rule wants it fresh for `ttl` and then kept for `stale`.
    pub fn within(self, ttl: Duration, stale: Duration) -> (Duration, Duration) {
        let fresh = self.fresh.min(ttl);
        let stale = if self.strict { Duration::ZERO } else { stale };
        (fresh, fresh.saturating_add(stale).min(self.whole))
    }

    /// Up to a moment, both since 1970.
    pub fn until(end: Duration, now: Duration) -> Self {
        let left = end.saturating_sub(now);
        Freshness { fresh: left, whole: left, strict: false }
    }

    /// What an upstream says of its answer.
    pub fn of(answer: &Answer, now: Duration) -> Self {
        let headers = &answer.headers;
        let control = Control::read(headers);
        if control.forbidden || list(headers, &header::VARY).any(|name| name == "*") {
            return Freshness::NONE;
        }
        let age = text(headers, &header::AGE).map_or(Duration::ZERO, |age| seconds(age).unwrap_or(Duration::MAX));
        let fresh = match (control.max_age, text(headers, &header::EXPIRES)) {
            (Some(max_age), _) => max_age.saturating_sub(age),
            // Anything that is no date is in the past (section 5.3).
            (None, Some(expires)) => {
                let came = text(headers, &header::DATE).and_then(moment).unwrap_or(now);
                moment(expires).map_or(Duration::ZERO, |expires| expires.saturating_sub(came).saturating_sub(age))
            }
            (None, None) => Duration::MAX,
        };
        Freshness { fresh, whole: Duration::MAX, strict: control.strict }
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Freshness::UNBOUND
    }
}

/// `Cache-Control`, as far as it is for us.
#[derive(Default)]
struct Control {
    /// It must not be kept, or not be used without asking.
    forbidden: bool,
    max_age: Option<Duration>,
    /// It must not be used once it is no longer fresh.
    strict: bool,
}

impl Control {
    fn read(headers: &HeaderMap) -> Self {
        let mut control = Control::default();
        for directive in list(headers, &header::CACHE_CONTROL) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                // `no-cache` may name fields that alone must not be used; then all is taken for such a field.
                "no-store" | "no-cache" => control.forbidden = true,
                "must-revalidate" => control.strict = true,
                "max-age" => {
                    // Of several the shortest; one that cannot be read means that it is stale (section 4.2.1).
                    let max_age = seconds(value.trim().trim_matches('"')).unwrap_or(Duration::ZERO);
                    control.max_age = Some(control.max_age.map_or(max_age, |other| other.min(max_age)));
                }
                _ => {}
            }
        }
        control
    }
}

/// The items of a header that is a list, of all its lines. A line that is no text forbids by being read as `*`.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("no-store, *"));
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

/// Seconds (section 1.2.2); more than any number can hold are as good as for ever.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))))
}

/// A date (RFC 9110, section 5.6.7), since 1970.
fn moment(text: &str) -> Option<Duration> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(parsed.as_second()).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, StatusCode};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_225_600);

    /// How many seconds it is fresh and kept, where the rule wants 100 and then 1000.
    fn of(lines: &[(&str, &str)]) -> (u64, u64) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).expect("a header name");
            headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let answer = Answer { status: StatusCode::OK, headers, body: Bytes::new() };
        seconds_of(Freshness::of(&answer, NOW))
    }

    fn seconds_of(freshness: Freshness) -> (u64, u64) {
        let (fresh, whole) = freshness.within(Duration::from_secs(100), Duration::from_secs(1000));
        (fresh.as_secs(), whole.as_secs())
    }

    #[test]
    fn an_answer_lives_no_longer_than_it_says_and_no_longer_than_the_rule_says() {
        let control = |value| of(&[("cache-control", value)]);
        for (value, expected) in [
            ("max-age=60", (60, 1060)),
            ("private, max-age=60", (60, 1060)),
            ("public, s-maxage=5, max-age=60", (60, 1060)),
            ("max-age=1000", (100, 1100)),
            ("Max-Age=\"60\"", (60, 1060)),
            ("max-age=60, max-age=30", (30, 1030)),
            ("max-age=60, must-revalidate", (60, 60)),
            ("private, Must-Revalidate", (100, 100)),
            ("max-age=0, private, must-revalidate", (0, 0)),
            ("max-age=-1", (0, 1000)),
            ("max-age=soon", (0, 1000)),
            ("max-age", (0, 1000)),
            ("max-age=99999999999999999999999", (100, 1100)),
            ("no-store", (0, 0)),
            ("NO-STORE , max-age=60", (0, 0)),
            ("no-cache", (0, 0)),
            ("no-cache=\"set-cookie\", max-age=60", (0, 0)),
            ("private", (100, 1100)),
            ("", (100, 1100)),
        ] {
            assert_eq!(control(value), expected, "{value}");
        }
        assert_eq!(of(&[]), (100, 1100));
        assert_eq!(of(&[("cache-control", "max-age=60"), ("cache-control", "no-store")]), (0, 0), "on any line");
        assert_eq!(of(&[("cache-control", "max-age=60"), ("age", "50")]), (10, 1010));
        assert_eq!(of(&[("cache-control", "max-age=60"), ("age", "x")]), (0, 1000));
        assert_eq!(of(&[("vary", "accept, *")]), (0, 0));
        assert_eq!(of(&[("vary", "accept, authorization")]), (100, 1100));
    }

    #[test]
    fn an_answer_ends_when_it_says() {
        let new_year = "Thu, 01 Jan 2026 00:00:00 GMT";
        for (lines, expected) in [
            (&[("expires", "Thu, 01 Jan 2026 00:01:00 GMT")][..], 60),
            (&[("expires", "Thu, 01 Jan 2026 00:01:00 GMT"), ("date", "Thu, 01 Jan 2026 00:00:50 GMT")], 10),
            (&[("expires", "Thu, 01 Jan 2026 00:01:00 GMT"), ("age", "45")], 15),
            (&[("expires", "Thu, 01 Jan 2026 00:01:00 GMT"), ("cache-control", "max-age=5")], 5),
            (&[("expires", new_year)], 0),
            (&[("expires", "0")], 0),
            (&[("expires", "-1")], 0),
            (&[("expires", "")], 0),
            (&[("date", new_year)], 100),
        ] {
            assert_eq!(of(lines).0, expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_made_of_several_lives_as_long_as_the_first_that_ends() {
        let until = |seconds| Freshness::until(NOW + Duration::from_secs(seconds), NOW);
        assert_eq!(seconds_of(until(500)), (100, 500), "nothing outlives the end of a token");
        assert_eq!(seconds_of(until(50)), (50, 50));
        assert_eq!(seconds_of(until(0)), (0, 0));
        assert_eq!(seconds_of(until(500).and(until(50))), (50, 50));
        assert_eq!(seconds_of(until(500).and(Freshness::default())), (100, 500));
        assert_eq!(seconds_of(Freshness::default().and(Freshness::NONE)), (0, 0));
        assert_eq!(Freshness::until(NOW, NOW + Duration::from_secs(1)).fresh, Duration::ZERO);
    }
}
