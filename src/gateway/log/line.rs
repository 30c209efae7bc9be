//! An event as one JSON object: `timestamp`, `level`, then the event's fields in their order.
//!
//! One is written for each request, so it is put together without the generic
//! formatter: a line costs about as much as the copy of its bytes.

use std::{
    cell::RefCell,
    fmt::{self, Write},
    io,
    time::{Duration, UNIX_EPOCH},
};

use serde::Serialize;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Hands each event to a sink as a JSON line.
pub(super) struct JsonLines {
    pub(super) sink: fn(&[u8]),
}

/// What a thread needs to write lines.
#[derive(Default)]
struct Desk {
    line: Vec<u8>,
    /// The current second as RFC 3339 writes it, without the `Z`.
    second: (u64, String),
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        DESK.with(|desk| {
            // It is taken only if writing another line met a fault, which is being told.
            let Ok(mut desk) = desk.try_borrow_mut() else { return };
            desk.line.clear();
            desk.stamp(now());
            desk.line.extend_from_slice(b"\",\"level\":\"");
            desk.line.extend_from_slice(event.metadata().level().as_str().as_bytes());
            desk.line.push(b'"');
            event.record(&mut Fields(&mut desk.line));
            desk.line.extend_from_slice(b"}\n");
            (self.sink)(&desk.line);
        });
    }
}

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "log lines bear the time of the day")]
fn now() -> Duration {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Desk {
    /// Starts the line with the time. The date is worked out once a second.
    fn stamp(&mut self, now: Duration) {
        if self.second.0 != now.as_secs() {
            let second = i64::try_from(now.as_secs()).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            let text = second.unwrap_or_default().to_string();
            self.second = (now.as_secs(), text.trim_end_matches('Z').to_owned());
        }
        self.line.extend_from_slice(b"{\"timestamp\":\"");
        self.line.extend_from_slice(self.second.1.as_bytes());
        let micros = now.subsec_micros();
        let digit = |power: u32| b'0' + (micros / power % 10) as u8;
        self.line.extend_from_slice(&[
            b'.',
            digit(100_000),
            digit(10_000),
            digit(1_000),
            digit(100),
            digit(10),
            digit(1),
            b'Z',
        ]);
    }
}

/// Writes fields to a line.
struct Fields<'l>(&'l mut Vec<u8>);

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: impl Serialize) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(field.name().as_bytes());
        self.0.extend_from_slice(b"\":");
        // Writing plain values into memory does not fail.
        let _ = serde_json::to_writer(&mut *self.0, &value);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A `Debug` that fails leaves what it wrote so far.
        let _ = write!(text, "{value:?}");
        self.add(field, text);
    }
}

/// The other way to hand lines on: as a writer for the formatter that serves people.
pub(super) struct Lines {
    pub(super) sink: fn(&[u8]),
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (self.sink)(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_follows_the_second() {
        let mut desk = Desk::default();
        for (millis, expected) in [
            (1_790_964_251_007, "2026-10-02T18:04:11.007000Z"),
            (1_790_964_251_999, "2026-10-02T18:04:11.999000Z"),
            (1_790_964_252_000, "2026-10-02T18:04:12.000000Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
        ] {
            desk.line.clear();
            desk.stamp(Duration::from_millis(millis));
            assert_eq!(String::from_utf8_lossy(&desk.line), format!("{{\"timestamp\":\"{expected}"));
        }
    }
}
