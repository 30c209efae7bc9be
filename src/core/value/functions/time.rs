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
