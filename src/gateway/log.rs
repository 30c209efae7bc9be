//! Logging: JSON lines, or lines for people on a terminal.
//!
//! Only our own events are written. Libraries log what they see, and at their
//! lower levels that includes header values.
//!
//! Lines are gathered and written together by a thread of their own, so that a
//! request pays for no system call. What is left is written when the process
//! ends or panics.

mod line;

use std::{
    any::Any,
    io::{self, IsTerminal, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::line::{JsonLines, Lines};
use crate::config::{Format, Level, Log};

/// How long a line waits for company.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that are gathered at most; a writer that is slower than its requests makes them wait.
const MAX_GATHERED: usize = 256 * 1024;

static GATHERED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SOMETHING: Condvar = Condvar::new();

/// Starts logging to standard error. A second call changes nothing.
pub fn start(log: &Log) {
    let level = match log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    let json = match log.format {
        Format::Auto => !io::stderr().is_terminal(),
        Format::Pretty => false,
        Format::Json => true,
    };
    let registry = tracing_subscriber::registry().with(Targets::new().with_target("claimsmith", level));
    let started = if json {
        registry.with(JsonLines { sink: gather }).try_init().is_ok()
    } else {
        let lines = fmt::layer().with_target(false).with_ansi(io::stderr().is_terminal());
        registry.with(lines.with_writer(|| Lines { sink: gather })).try_init().is_ok()
    };
    if started {
        std::panic::set_hook(Box::new(|info| {
            let at = info.location().map(ToString::to_string);
            tracing::error!(at, words = words(info.payload()), "a fault of the program");
            flush();
        }));
        // Without the thread lines are still written: when much has gathered, and at the end.
        let _ = thread::Builder::new().name("log".into()).spawn(write_on);
    }
}

/// What a panic says. Words that were put together may hold a token, a secret or a claim; those of the source cannot.
fn words(payload: &dyn Any) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

/// Writes what has gathered.
pub fn flush() {
    // First the way out, then the lines, as the log's own thread does: nothing is written twice, late or out of order.
    let mut out = io::stderr().lock();
    let lines = std::mem::take(&mut *gathered());
    // A log that nobody reads is no reason to stop answering.
    let _ = out.write_all(&lines);
}

fn gathered() -> MutexGuard<'static, Vec<u8>> {
    GATHERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of the log's thread.
fn write_on() {
    let mut spare = Vec::new();
    loop {
        let lines = SOMETHING.wait_while(gathered(), |lines| lines.is_empty()).unwrap_or_else(PoisonError::into_inner);
        // Wait a little for more, with the lock released.
        drop(SOMETHING.wait_timeout(lines, GATHER).unwrap_or_else(PoisonError::into_inner));
        let mut out = io::stderr().lock();
        std::mem::swap(&mut *gathered(), &mut spare);
        let _ = out.write_all(&spare);
        spare.clear();
    }
}

/// Takes one line.
fn gather(line: &[u8]) {
    let mut lines = gathered();
    let first = lines.is_empty();
    lines.extend_from_slice(line);
    if lines.len() > MAX_GATHERED {
        drop(lines);
        flush();
    } else if first {
        SOMETHING.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_what_the_source_says_and_no_value() {
        let caught = |work: fn()| std::panic::catch_unwind(work).expect_err("it panics");
        assert_eq!(words(&*caught(|| panic!("a fault"))), Some("a fault"));
        let token = "T0ken";
        let payload = std::panic::catch_unwind(move || panic!("{token} is wrong")).expect_err("it panics");
        assert_eq!(words(&*payload), None);
        assert_eq!(words(&*caught(|| std::panic::panic_any(String::from("T0ken")))), None);
    }
}
