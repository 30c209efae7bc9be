//! The last requests, step by step, for those who run the gateway: no value of anybody is in them.
//!
//! Requests that failed have room of their own, so that no crowd of good ones pushes them out. What is kept is text,
//! bounded in number and in bytes; where the settings want none, nothing is noted and nothing is made.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Upstream, admin::time};
use crate::core::{CompiledRule, Failure, Host, Outcome, Step, Trace, trace::Outcome as Came};

/// Bytes of the requests of one kind, good or failed; the oldest go first.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one request; later steps are left out.
const MAX_TRACE: usize = 64 * 1024;

/// The last requests.
#[derive(Debug)]
pub(super) struct Traces {
    /// How many of each kind are kept.
    number: usize,
    good: Mutex<Ring>,
    failed: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Kept>,
    bytes: usize,
}

/// A request that is kept.
#[derive(Clone, Debug)]
struct Kept {
    /// Since 1970.
    time: Duration,
    rule: String,
    request_id: String,
    /// All of it, as JSON.
    text: String,
}

/// Which requests are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Those of one rule.
    pub(super) rule: Option<String>,
    /// The one with this id.
    pub(super) request: Option<String>,
    /// Those that failed.
    pub(super) failures: bool,
}

impl Traces {
    /// As many as that of each kind; 0 for none.
    pub(super) fn new(number: usize) -> Self {
        Traces { number, good: Mutex::default(), failed: Mutex::default() }
    }

    /// True if the settings want any.
    pub(super) fn are_kept(&self) -> bool {
        self.number > 0
    }

    /// Where the steps of a request are noted, if they are.
    pub(super) fn begin(&self) -> Option<Trace> {
        self.are_kept().then(Trace::discreet)
    }

    /// Keeps a request that was answered.
    pub(super) fn keep(&self, rule: &CompiledRule, request_id: &str, trace: &Trace, outcome: &Outcome, took: Duration) {
        let now = Upstream::now();
        let (steps, left_out) = steps(rule, trace, outcome);
        let text = json!({
            "time": time(now),
            "rule": rule.name(),
            "request_id": request_id,
            "status": outcome.response.status().as_u16(),
            "duration_ms": millis(took),
            "failed": outcome.failure.as_ref().map(Failure::words),
            "remedy": outcome.failure.as_ref().map(Failure::remedy),
            "steps": steps,
            "steps_left_out": left_out,
        });
        let kept = Kept { time: now, rule: rule.name().into(), request_id: request_id.into(), text: text.to_string() };
        let ring = if outcome.failure.is_some() { &self.failed } else { &self.good };
        lock(ring).push(kept, self.number);
    }

    /// The requests that are asked for, the latest first.
    pub(super) fn told(&self, wanted: &Wanted) -> Vec<Value> {
        let good = if wanted.failures { Vec::new() } else { lock(&self.good).find(wanted) };
        let mut found = [good, lock(&self.failed).find(wanted)].concat();
        found.sort_by_key(|kept| std::cmp::Reverse(kept.time));
        found.iter().filter_map(|kept| serde_json::from_str(&kept.text).ok()).collect()
    }
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ring {
    fn push(&mut self, kept: Kept, number: usize) {
        self.bytes += kept.size();
        self.kept.push_back(kept);
        while self.kept.len() > number || self.bytes > MAX_BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    fn find(&self, wanted: &Wanted) -> Vec<Kept> {
        self.kept.iter().filter(|kept| wanted.has(kept)).cloned().collect()
    }
}

impl Kept {
    fn size(&self) -> usize {
        size_of::<Self>() + self.rule.len() + self.request_id.len() + self.text.len()
    }
}

impl Wanted {
    fn has(&self, kept: &Kept) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == kept.rule)
            && self.request.as_ref().is_none_or(|id| *id == kept.request_id)
    }
}

/// The steps of a request, and how many there was no room for.
fn steps(rule: &CompiledRule, trace: &Trace, outcome: &Outcome) -> (Vec<Value>, usize) {
    let mut all = trace.steps();
    // What ended it from outside was not noted within: its time was over, or there was no place for it.
    if let Some(failure) = outcome.failure.as_ref().filter(|_| !all.iter().any(is_failure)) {
        let open = all.iter().rev().find(|step| matches!(step, Step::Call(call) if call.outcome == Came::Unanswered));
        let stage = open.map_or_else(|| failure.stage(), Step::stage);
        all.push(Step::Failed { stage, words: failure.words() });
        let (status, bytes) = (outcome.response.status().as_u16(), outcome.response.body().len());
        all.push(Step::Respond { status, bytes });
    }
    let text = &rule.source().text;
    let (mut told, mut bytes) = (Vec::with_capacity(all.len()), 0);
    for step in &all {
        let step = step.as_discreet_json(text);
        bytes += step.to_string().len();
        if bytes > MAX_TRACE {
            break;
        }
        told.push(step);
    }
    let left_out = all.len() - told.len();
    (told, left_out)
}

fn is_failure(step: &Step) -> bool {
    matches!(step, Step::Failed { .. })
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The same for people: a head for each request, and a line for each of its steps.
pub(super) fn as_text(traces: &[Value]) -> String {
    let mut text = String::new();
    for trace in traces {
        let word = |name: &str| trace[name].as_str().unwrap_or_default();
        let (status, took) = (&trace["status"], &trace["duration_ms"]);
        let [time, rule, id] = ["time", "rule", "request_id"].map(word);
        text.push_str(&format!("{time}  {rule}  {status} in {took} ms  request id {id}\n"));
        for step in trace["steps"].as_array().into_iter().flatten() {
            text.push_str(&format!("  {}\n", line(step)));
        }
        if !word("failed").is_empty() {
            text.push_str(&format!("  failed: {}\n  do:     {}\n", word("failed"), word("remedy")));
        }
        text.push('\n');
    }
    text
}

fn line(step: &Value) -> String {
    let word = |name: &str| step[name].as_str().unwrap_or_default();
    let name = format!("{} {}", word("step"), word("call"));
    let times = match (&step["start_ms"], &step["end_ms"]) {
        (Value::Number(from), Value::Number(to)) => format!("  {from} – {to} ms"),
        _ => String::new(),
    };
    let what = if step.get("failed").is_some() {
        format!("failed: {}", word("failed"))
    } else if let Some(name) = step.get("condition").and_then(Value::as_str) {
        format!("{name} `{}` {}", word("text"), if step["holds"] == true { "holds" } else { "does not hold" })
    } else if let Some(name) = step.get("name").and_then(Value::as_str) {
        let from = [&step["from"]["way"], &step["from"]["text"]].map(|part| part.as_str().unwrap_or_default());
        format!("{name}: {} from {}", step["type"].as_str().unwrap_or("absent"), from.join(" ").trim_end())
    } else if let Some(claim) = step.get("claim").and_then(Value::as_str) {
        format!("{claim}: {} for {}", word("standing"), word("receiver"))
    } else if step["step"] == "respond" && step.get("status").is_some() {
        format!("{}, {} bytes", step["status"], step["bytes"])
    } else {
        [word("request"), word("which"), word("words")]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("  ")
    };
    format!("{name:<16}  {what}{times}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: u64, rule: &str, length: usize) -> Kept {
        let text = json!({ "number": number, "more": "x".repeat(length) }).to_string();
        Kept { time: Duration::from_secs(number), rule: rule.into(), request_id: format!("id-{number}"), text }
    }

    #[test]
    fn the_latest_are_kept_bounded_in_number_and_in_bytes() {
        let mut ring = Ring::default();
        (0..100).for_each(|number| ring.push(kept(number, "acme", 10), 7));
        assert_eq!(ring.kept.iter().map(|kept| kept.time.as_secs()).collect::<Vec<_>>(), [93, 94, 95, 96, 97, 98, 99]);
        (0..1000).for_each(|number| ring.push(kept(number, "acme", MAX_TRACE), usize::MAX));
        assert!(ring.bytes <= MAX_BYTES && ring.kept.len() > 50, "{} bytes of {}", ring.bytes, ring.kept.len());
        assert_eq!(ring.bytes, ring.kept.iter().map(Kept::size).sum::<usize>());
    }

    #[test]
    fn good_ones_push_out_no_failure_and_each_can_be_asked_for() {
        let traces = Traces::new(3);
        lock(&traces.failed).push(kept(1, "acme", 1), 3);
        (2..50).for_each(|number| lock(&traces.good).push(kept(number, if number == 48 { "b" } else { "acme" }, 1), 3));
        let numbers = |wanted: Wanted| -> Vec<u64> {
            traces.told(&wanted).iter().map(|trace| trace["number"].as_u64().unwrap_or_default()).collect()
        };
        assert_eq!(numbers(Wanted::default()), [49, 48, 47, 1]);
        assert_eq!(numbers(Wanted { failures: true, ..Wanted::default() }), [1]);
        assert_eq!(numbers(Wanted { rule: Some("b".into()), ..Wanted::default() }), [48]);
        assert_eq!(numbers(Wanted { request: Some("id-47".into()), ..Wanted::default() }), [47]);
        assert!(Traces::new(0).begin().is_none());
    }
}
