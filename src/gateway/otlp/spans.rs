//! The spans of a request: one for itself, and below it one for each step and each call, by the conventions of
//! OpenTelemetry for HTTP (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>). Where those want a whole
//! address there is none: token, keys and ids of users may stand in it.

use std::time::Duration;

use http::Version;
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{
        Span, Status,
        span::{Event, SpanKind},
        status::StatusCode,
    },
};

use super::{
    Otlp, number,
    requests::{Ended, Watched},
    text,
};
use crate::core::{
    Blame,
    trace::{Exchange, Stage, Timed, Timeline},
};

/// Calls of one request that have a span; a list may have a thousand pages.
pub(super) const MAX_CALLS: usize = 100;
/// Exchanges of one call that are told.
const MAX_EVENTS: usize = 16;
/// Bytes of a reason.
const MAX_REASON: usize = 256;
/// The flags of spans that are sampled (bit 0), and of which is known (bit 8) whether their parent is elsewhere (bit 9).
const LOCAL: u32 = 0x101;
const REMOTE: u32 = 0x301;

/// All spans of a request that ended now.
pub(super) fn spans(
    otlp: &Otlp,
    watched: &Watched,
    timeline: &Timeline,
    ended: &Ended<'_>,
    now: Duration,
) -> Vec<Span> {
    let calls = &timeline.calls[..timeline.calls.len().min(MAX_CALLS)];
    let mut family = Family { watched, now, began: timeline.began.unwrap_or(now), next: timeline.sent as u64 };
    let mut spans = vec![family.request(otlp, ended, timeline.sent.saturating_sub(calls.len()))];
    for (stage, time) in &timeline.stages {
        let step = family.step(stage, watched.context.span, *time);
        spans.push(step);
    }
    for call in calls {
        let span = family.call(call);
        let step = call.decoded.map(|time| family.step(&Stage::Decode(call.name.clone()), family.id(call), time));
        spans.push(span);
        spans.extend(step);
    }
    spans
}

/// What the spans of one request have in common.
struct Family<'a> {
    watched: &'a Watched,
    now: Duration,
    /// When the evaluation began, by the clock.
    began: Duration,
    /// The last number that was given to a span.
    next: u64,
}

impl Family<'_> {
    fn request(&self, otlp: &Otlp, ended: &Ended<'_>, left_out: usize) -> Span {
        let context = &self.watched.context;
        let method = if ended.method == "-" { "_OTHER" } else { ended.method };
        let route = ended.rule.map(|rule| format!("/{rule}"));
        let verb = if ended.method == "-" { "HTTP" } else { ended.method };
        let mut attributes = vec![
            text("http.request.method", method),
            number("http.response.status_code", ended.status),
            text("url.scheme", otlp.scheme),
            number("server.port", otlp.address.port()),
            text("network.protocol.version", version(ended.version)),
        ];
        // Whom a request names as the host is the caller's word, and may be anything.
        let ip = Some(otlp.address.ip()).filter(|ip| !ip.is_unspecified());
        attributes.extend(ip.map(|ip| text("server.address", ip.to_string())));
        attributes.extend(route.as_ref().map(|route| text("http.route", route)));
        attributes.extend((ended.kept > 0).then(|| number("claimsmith.calls.kept", ended.kept)));
        attributes.extend((left_out > 0).then(|| number("claimsmith.calls.left_out", left_out as u64)));
        let mut status = None;
        if let Some((reason, blame)) = &ended.failure {
            let blame = match blame {
                Blame::Caller => "caller",
                Blame::Upstream => "upstream",
                Blame::Us => "us",
            };
            attributes.push(text("claimsmith.blame", blame));
            attributes.push(text("claimsmith.reason", cut(reason)));
            // What a caller did wrong is no error of a server.
            if ended.status >= 500 {
                attributes.push(text("error.type", ended.status.to_string()));
                status = error(cut(reason));
            }
        }
        Span {
            name: route.map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}")),
            kind: SpanKind::Server.into(),
            parent_span_id: context.parent.map(id).unwrap_or_default(),
            flags: if context.parent.is_some() { REMOTE } else { LOCAL },
            start_time_unix_nano: self.at(self.watched.began),
            end_time_unix_nano: self.at(self.now),
            attributes,
            status,
            ..self.span(context.span)
        }
    }

    /// The id of a call's span, as it was told to whom the call was sent.
    fn id(&self, call: &Timed) -> u64 {
        self.watched.context.span.saturating_add(call.number as u64)
    }

    fn call(&self, call: &Timed) -> Span {
        let repeated = call.exchanges.iter().filter(|exchange| exchange.what == "repeated").count();
        // An answer that was kept, or for which another request asked, took no exchange.
        let kept = call.exchanges.is_empty() && call.outcome == "answered";
        let kind = if kept { SpanKind::Internal } else { SpanKind::Client };
        let mut attributes = vec![text("claimsmith.call", &call.name), text("claimsmith.call.outcome", call.outcome)];
        if let Some(to) = &call.to {
            attributes.push(text("http.request.method", &to.method));
            attributes.push(text("server.address", &to.host));
            attributes.extend(to.port.map(|port| number("server.port", port)));
        }
        attributes.extend((!call.which.is_empty()).then(|| text("claimsmith.call.which", &call.which)));
        attributes.extend(call.status.map(|status| number("http.response.status_code", status)));
        attributes.extend((repeated > 0).then(|| number("http.request.resend_count", repeated as u64)));
        let failed = call.outcome != "answered";
        if failed {
            let kind = call.status.filter(|status| *status >= 400).map_or("_OTHER".into(), |status| status.to_string());
            attributes.push(text("error.type", kind));
        }
        Span {
            name: format!("call {}", call.name),
            kind: kind.into(),
            start_time_unix_nano: self.at(self.began + call.time.0),
            end_time_unix_nano: self.at(self.began + call.time.1),
            attributes,
            events: call.exchanges.iter().take(MAX_EVENTS).map(|exchange| self.event(exchange)).collect(),
            dropped_events_count: call.exchanges.len().saturating_sub(MAX_EVENTS) as u32,
            status: failed.then(|| error(call.outcome.into())).flatten(),
            ..self.child(self.id(call), self.watched.context.span)
        }
    }

    /// One exchange of a call.
    fn event(&self, exchange: &Exchange) -> Event {
        let took = exchange.time.1.saturating_sub(exchange.time.0);
        let mut attributes = vec![number("claimsmith.duration_us", took.as_micros())];
        attributes.extend(exchange.status.map(|status| number("http.response.status_code", status)));
        Event {
            time_unix_nano: self.at(self.began + exchange.time.0),
            name: exchange.what.into(),
            attributes,
            ..Event::default()
        }
    }

    fn step(&mut self, stage: &Stage, parent: u64, (from, to): (Duration, Duration)) -> Span {
        self.next += 1;
        let attributes: Vec<KeyValue> = stage.call().map(|call| text("claimsmith.call", call)).into_iter().collect();
        Span {
            name: stage.to_string(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: self.at(self.began + from),
            end_time_unix_nano: self.at(self.began + to),
            attributes,
            ..self.child(self.watched.context.span.saturating_add(self.next), parent)
        }
    }

    fn child(&self, own: u64, parent: u64) -> Span {
        Span { parent_span_id: id(parent), flags: LOCAL, ..self.span(own) }
    }

    fn span(&self, own: u64) -> Span {
        Span { trace_id: self.watched.context.trace.to_be_bytes().to_vec(), span_id: id(own), ..Span::default() }
    }

    /// A moment of the clock as nanoseconds since 1970; nothing of a request is outside of it.
    fn at(&self, moment: Duration) -> u64 {
        let since = moment.clamp(self.watched.began, self.now) - self.watched.began;
        u64::try_from((self.watched.time + since).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

fn id(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn error(message: String) -> Option<Status> {
    Some(Status { message, code: StatusCode::Error.into() })
}

fn cut(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}
