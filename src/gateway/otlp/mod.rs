//! Traces and metrics for a collector, by OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! `context` reads and writes W3C Trace Context, `requests` watches a request and decides whether it leaves a trace,
//! `spans` makes that of the times of its evaluation, `points` makes metrics of the one table, `queue` keeps what waits
//! within bounds, and `courier` takes it away, on a thread of its own. Requests never wait for any of it: what has no
//! room is dropped, and counted.
//!
//! Nothing of a request is told but names that rules and methods have, statuses and times, and the reason of a failure as
//! the log has it.

mod context;
mod courier;
mod points;
mod queue;
mod requests;
mod spans;

use std::net::SocketAddr;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};

use self::queue::Queue;
pub(super) use self::{
    context::Propagation,
    courier::Courier,
    requests::{Ended, Requests, Watched},
};
use crate::config::Settings;

/// What all workers share to leave traces.
pub(super) struct Otlp {
    queue: Queue,
    /// Where requests come in.
    address: SocketAddr,
    scheme: &'static str,
}

impl Otlp {
    /// `None` if the settings want no traces.
    pub(super) fn new(settings: &Settings, address: SocketAddr) -> Option<Self> {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        leaves_traces(settings).then(|| Otlp { queue: Queue::default(), address, scheme })
    }

    /// Spans that a collector took, and those that were dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.queue.counts()
    }
}

fn leaves_traces(settings: &Settings) -> bool {
    settings.otlp.endpoint.is_some() && settings.otlp.traces
}

/// An attribute.
fn text(key: &'static str, value: impl Into<String>) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

/// An attribute that is a number.
fn number(key: &'static str, value: impl TryInto<i64>) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

fn attribute(key: impl Into<String>, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Who measures.
fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}
