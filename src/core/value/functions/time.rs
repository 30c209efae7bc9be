//! Moments: seconds since 1970, as claims have them.

use std::{cell::Cell, time::Duration};

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    fmt::{rfc2822, strtime},
    tz::TimeZone,
};
use rhai::{Dynamic, INT};

use super::{Call, Raw};

/// The longest time or format, in bytes.
const MAX_TEXT: usize = 64;
/// From here on a number can only be milliseconds: as seconds it is the year 5138.
const MILLISECONDS: INT = 100_000_000_000;

thread_local! {
    /// The time of the request that is being answered; `None` until it is asked for.
    static NOW: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs a script of a request, whose time does not go on: what is signed with a time has to be sent with the same.
pub(in crate::core::value) fn in_request<T>(now: &mut Option<Duration>, run: impl FnOnce() -> T) -> T {
    NOW.set(*now);
    let result = run();
    *now = NOW.get();
    result
}

pub(super) fn now(call: &Call<'_>) -> Raw<Dynamic> {
    let now = NOW.get().unwrap_or_else(call.clocks.now);
    NOW.set(Some(now));
    Ok(INT::try_from(now.as_secs()).unwrap_or(INT::MAX).into())
}

pub(super) fn parse_time(call: &Call<'_>) -> Raw<Dynamic> {
    let text = call.text(0)?;
    let found = Some(text.trim()).filter(|text| text.len() <= MAX_TEXT).and_then(parse);
    found.map(Into::into).ok_or_else(|| call.wants(0, "a time, such as `2026-01-31T12:00:00Z`"))
}

pub(super) fn format_time(call: &Call<'_>) -> Raw<Dynamic> {
    let (seconds, format) = (call.integer(0)?, call.text(1)?);
    let time = Timestamp::from_second(seconds).map_err(|_| call.wants(0, "seconds since 1970"))?;
    let text = write(time, &format).ok_or_else(|| call.wants(1, "a format of `strftime`, at most 64 bytes"))?;
    Ok(text.into())
}

/// Whether a text is a format.
pub(super) fn check_format(format: &str) -> Result<(), &'static str> {
    write(Timestamp::UNIX_EPOCH, format).map(|_| ()).ok_or("directives of `strftime` in at most 64 bytes")
}

fn write(time: Timestamp, format: &str) -> Option<String> {
    let short = format.len() <= MAX_TEXT;
    short.then(|| strtime::format(format, &time.to_zoned(TimeZone::UTC)).ok()).flatten()
}

/// The forms that providers use.
fn parse(text: &str) -> Option<INT> {
    if let Ok(number) = text.parse::<INT>() {
        let seconds = if number.abs() < MILLISECONDS { number } else { number.div_euclid(1000) };
        return Timestamp::from_second(seconds).ok().map(|_| seconds);
    }
    let utc = |time: DateTime| TimeZone::UTC.to_timestamp(time).ok();
    let time = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| utc(text.parse::<DateTime>().ok()?))
        .or_else(|| utc(text.parse::<Date>().ok()?.into()))
        .or_else(|| rfc2822::parse(text).ok().map(|time| time.timestamp()))
        .or_else(|| strtime::parse("%a %b %d %H:%M:%S %z %Y", text).ok()?.to_timestamp().ok())?;
    // A part of a second does not count, before 1970 neither.
    Some(time.as_nanosecond().div_euclid(1_000_000_000)).and_then(|seconds| INT::try_from(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{check, run},
        Cell, Duration, in_request,
    };

    #[test]
    fn times_of_the_forms_that_providers_use_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2026-01-31t14:00:00.999+02:00", 1_769_860_800),
            ("2026-01-31T12:00:00+0000", 1_769_860_800),
            ("2026-01-31T12:00:00", 1_769_860_800),
            ("2026-01-31 12:00:00", 1_769_860_800),
            ("2026-01-31 12:00", 1_769_860_800),
            ("2026-01-31", 1_769_817_600),
            (" 2026-01-31 ", 1_769_817_600),
            ("Sat, 31 Jan 2026 12:00:00 +0000", 1_769_860_800),
            ("Sat, 31 Jan 2026 12:00:00 GMT", 1_769_860_800),
            ("31 Jan 2026 07:00:00 -0500", 1_769_860_800),
            ("Sat Jan 31 12:00:00 +0000 2026", 1_769_860_800),
            ("1769860800", 1_769_860_800),
            ("1769860800123", 1_769_860_800),
            ("-1", -1),
            ("0", 0),
            ("1969-12-31T23:59:59.5Z", -1),
        ] {
            assert_eq!(run(&format!("parse_time(\"{text}\")")), Ok(expected.to_string()), "{text}");
        }
        check(&[("parse_time(1769860800)", "1769860800"), ("parse_time(1769860800123)", "1769860800")]);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let long = format!("2026-01-31 12:00:00.{}", "0".repeat(50));
        for text in
            ["", "last week", "2026-13-01", "2026-02-30", "31/01/2026", "12:00", "9223372036854775808", "1e9", &long]
        {
            let expected = "!`parse_time` wants a time, such as `2026-01-31T12:00:00Z` as `text`";
            check(&[(&format!("parse_time(\"{text}\")"), expected)]);
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        check(&[
            ("format_time(0, \"%Y-%m-%dT%H:%M:%SZ\")", "\"1970-01-01T00:00:00Z\""),
            ("format_time(-1, \"%F %T\")", "\"1969-12-31 23:59:59\""),
            ("format_time(1769860800, \"%a, %d %b %Y %H:%M:%S %z\")", "\"Sat, 31 Jan 2026 12:00:00 +0000\""),
            // Eight hours to the east, as Alipay has it.
            ("format_time(1769860800 + 8 * 3600, \"%Y-%m-%d %H:%M:%S\")", "\"2026-01-31 20:00:00\""),
            ("format_time(0, \"\")", "\"\""),
            ("format_time(0, \"%!\")", "!`format_time` wants a format of `strftime`, at most 64 bytes as `format`"),
            ("format_time(9223372036854775807, \"%F\")", "!`format_time` wants seconds since 1970 as `seconds`"),
            ("format_time(\"0\", \"%F\")", "!`format_time` wants an integer as `seconds`"),
        ]);
        let long = "%F".repeat(33);
        check(&[(
            &format!("format_time(0, \"{long}\")"),
            "!`format_time` wants a format of `strftime`, at most 64 bytes as `format`",
        )]);
    }

    #[test]
    fn the_time_does_not_go_on_within_a_request() {
        thread_local!(static SECONDS: Cell<u64> = const { Cell::new(0) });
        let clock = || {
            SECONDS.set(SECONDS.get() + 1);
            Duration::from_secs(SECONDS.get())
        };
        let engine = crate::core::value::Engine::new(|| Duration::ZERO, clock);
        let mut request = None;
        let ask = |request: &mut _| in_request(request, || engine.rhai.eval::<i64>("now()").expect("it is a call"));
        let (first, second) = (ask(&mut request), ask(&mut request));
        assert_eq!((first, second), (1, 1));
        assert_eq!(ask(&mut None), 2, "another request has its own");
        assert_eq!(SECONDS.get(), 2, "who does not ask for it does not look");
    }
}
