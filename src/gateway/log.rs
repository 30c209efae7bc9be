//! Logging: JSON lines, or lines for people on a terminal.
//!
//! Only our own events are written. Libraries log what they see, and at their
//! lower levels that includes header values.

use std::io::{self, IsTerminal};

use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Format, Level, Log};

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
    // Fails only if logging was started before.
    let _ = if json {
        let lines =
            fmt::layer().json().flatten_event(true).with_target(false).with_current_span(false).with_span_list(false);
        registry.with(lines.with_writer(io::stderr)).try_init()
    } else {
        let lines = fmt::layer().with_target(false).with_ansi(io::stderr().is_terminal());
        registry.with(lines.with_writer(io::stderr)).try_init()
    };
}
