//! The calls of a rule: compiled to a plan, then run through the host.
//!
//! The order follows from what each call mentions: it starts as soon as the
//! answers that it reads are there, and calls that read none start at once.

mod auth;
mod body;
mod compile;
mod decode;
mod plan;
mod redirect;
mod send;

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{StatusCode, header};
use serde_json::Value;

pub use auth::TokenFault;
pub use compile::{check_texts, compile};
pub use plan::Plan;

use self::{plan::Call, send::send};
use super::{
    denial::Denial,
    facts::{Facts, Kept, Root},
    host::Host,
    message::{Answer, FetchError},
    token::Token,
    trace::{Step, Trace},
    value::{self, Memory},
};

/// A call that failed, and so did the request.
#[derive(Debug)]
pub struct Failure {
    /// The call's name.
    pub call: String,
    /// What happened.
    pub cause: Cause,
}

/// Why a call gave no answer.
#[derive(Debug)]
pub enum Cause {
    /// The upstream refused the caller's token: 401.
    Unauthorized,
    /// The upstream refused the caller's token for this: 403.
    Forbidden,
    /// The upstream refused our own credentials.
    OurCredentials(StatusCode),
    /// There is no token of our own.
    OwnToken(TokenFault),
    /// The upstream wants fewer requests: 429. After so many seconds, if it says.
    RateLimited(Option<u64>),
    /// A status that the call does not expect.
    Status(StatusCode),
    /// No complete answer.
    Fetch(FetchError),
    /// An answer that cannot be read.
    Body(String),
    /// A redirect that is not followed, and why.
    Redirect(&'static str),
    /// The request could not be put together: a part of the address is absent.
    Incomplete(String),
    /// A value of the request or a condition failed.
    Value(value::Failure),
    /// `fail_when` found an error in the answer.
    Denied(Denial, String),
}

/// What the calls of a request came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls that were sent.
    pub sent: u32,
    /// Optional calls that failed, by name.
    pub given_up: Vec<String>,
}

/// Everything that a running call may read, and the door.
pub struct Round<'a, H> {
    /// The caller's token.
    pub token: &'a Token,
    /// The door outside.
    pub host: &'a H,
    /// Where the steps are noted, if somebody looks on.
    pub trace: Option<&'a Trace>,
    /// When the evaluation began, for the trace.
    pub began: Duration,
}

/// Runs all calls; their answers are in `facts` afterwards.
///
/// # Errors
/// The first failure of a call that is not optional; calls still on their way are dropped.
pub async fn run<H: Host>(
    plan: &Plan,
    facts: &mut Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    // One call is the common case, and needs no scheduling.
    if let [call] = &plan.calls[..] {
        if let Some(outgoing) = begin(call, 0, facts, memory, round, summary)? {
            let (_, answer, time) = send(call, 0, outgoing, round).await;
            finish(call, 0, answer, time, facts, memory, round, summary)?;
        }
        return Ok(());
    }
    let mut waiting: Vec<usize> = (0..plan.calls.len()).collect();
    let mut done = vec![false; plan.calls.len()];
    let mut running = FuturesUnordered::new();
    loop {
        // A skipped call may make others ready, so look until nothing more starts.
        let mut progress = true;
        while progress {
            progress = false;
            let mut still_waiting = Vec::with_capacity(waiting.len());
            for number in std::mem::take(&mut waiting) {
                let call = &plan.calls[number];
                if !call.needs.iter().all(|need| done[*need]) {
                    still_waiting.push(number);
                    continue;
                }
                progress = true;
                match begin(call, number, facts, memory, round, summary)? {
                    Some(outgoing) => running.push(send(call, number, outgoing, round)),
                    None => done[number] = true,
                }
            }
            waiting = still_waiting;
        }
        let Some((number, answer, time)) = running.next().await else { return Ok(()) };
        finish(&plan.calls[number], number, answer, time, facts, memory, round, summary)?;
        done[number] = true;
    }
}

/// Puts a call's request together. `None` if the call is skipped or given up: then its answer is null.
fn begin<H>(
    call: &Call,
    number: usize,
    facts: &mut Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<Option<send::Ready>, Failure> {
    let skip = match &call.when {
        Some(when) => when.holds(facts, memory).map(|holds| !holds).map_err(Cause::Value),
        None => Ok(false),
    };
    let ready = match skip {
        Ok(true) => {
            note(round, || Step::Call {
                name: call.name.clone(),
                request: Vec::new(),
                result: "skipped: `when` is false".into(),
                time: None,
            });
            facts.answer(number, Kept::Whole(Value::Null));
            return Ok(None);
        }
        Ok(false) => send::prepare(call, facts, memory, round),
        Err(cause) => Err(cause),
    };
    match ready {
        Ok(ready) => {
            summary.sent += 1;
            Ok(Some(ready))
        }
        Err(cause) => {
            give_up(call, number, cause, Vec::new(), None, facts, round, summary)?;
            Ok(None)
        }
    }
}

/// Reads a call's answer.
#[expect(clippy::too_many_arguments, reason = "they are the state of one request, taken apart for the borrow checker")]
fn finish<H>(
    call: &Call,
    number: usize,
    answer: (send::Shown, Result<send::Received, Cause>),
    time: Option<(Duration, Duration)>,
    facts: &mut Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let (shown, received) = answer;
    let seen = received.as_ref().ok().map(|received| (received.answer.status, received.answer.body.len()));
    let failed = match received {
        Ok(received) => {
            facts.answer(number, received.kept);
            denied(call, facts, memory).err()
        }
        Err(cause) => Some(cause),
    };
    if let Some(cause) = failed {
        // `fail_when` may have shown the answer to scripts, which must not keep it.
        memory.forget(Root::Call(number));
        return give_up(call, number, cause, shown, time, facts, round, summary);
    }
    note(round, || Step::Call {
        name: call.name.clone(),
        request: shown,
        result: seen.map(|(status, length)| format!("{}, {length} bytes", status.as_u16())).unwrap_or_default(),
        time,
    });
    Ok(())
}

/// An optional call that failed has the answer null; any other ends the request.
#[expect(clippy::too_many_arguments, reason = "they are the state of one request, taken apart for the borrow checker")]
fn give_up<H>(
    call: &Call,
    number: usize,
    cause: Cause,
    shown: send::Shown,
    time: Option<(Duration, Duration)>,
    facts: &mut Facts<'_>,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    note(round, || {
        let result = format!("{}: {}", if call.optional { "given up" } else { "failed" }, cause.words());
        Step::Call { name: call.name.clone(), request: shown, result, time }
    });
    if !call.optional {
        return Err(Failure { call: call.name.clone(), cause });
    }
    facts.answer(number, Kept::Whole(Value::Null));
    summary.given_up.push(call.name.clone());
    Ok(())
}

fn note<H>(round: &Round<'_, H>, step: impl FnOnce() -> Step) {
    if let Some(trace) = round.trace {
        trace.add(step());
    }
}

/// Whether the status is fine, and whose fault it is otherwise.
fn judge(call: &Call, answer: &Answer) -> Result<(), Cause> {
    let status = answer.status;
    let fine = if call.expect.is_empty() { status.is_success() } else { call.expect.contains(&status.as_u16()) };
    if fine {
        return Ok(());
    }
    Err(match status {
        StatusCode::UNAUTHORIZED if call.carries_token => Cause::Unauthorized,
        StatusCode::FORBIDDEN if call.carries_token => Cause::Forbidden,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Cause::OurCredentials(status),
        StatusCode::TOO_MANY_REQUESTS => Cause::RateLimited(retry_after(answer)),
        _ => Cause::Status(status),
    })
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); a date is not worth a clock here.
fn retry_after(answer: &Answer) -> Option<u64> {
    answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

fn denied(call: &Call, facts: &Facts<'_>, memory: &mut Memory) -> Result<(), Cause> {
    for row in &call.fail_when {
        if row.when.holds(facts, memory).map_err(Cause::Value)? {
            return Err(Cause::Denied(row.denial, row.reason.clone()));
        }
    }
    Ok(())
}

impl Cause {
    /// What happened, for logs and traces: no value of the answer, no credential.
    pub fn words(&self) -> String {
        match self {
            Cause::Unauthorized => "the upstream refused the caller's token (401)".into(),
            Cause::Forbidden => "the upstream refused the caller's token for this (403)".into(),
            Cause::OurCredentials(status) => format!("the upstream refused our own credentials ({})", status.as_u16()),
            Cause::RateLimited(_) => "the upstream wants fewer requests (429)".into(),
            Cause::Status(status) => format!("the upstream answered {}", status.as_u16()),
            Cause::OwnToken(fault) => fault.words(),
            Cause::Fetch(error) => error.words(),
            Cause::Body(why) => format!("the answer cannot be read: {why}"),
            Cause::Redirect(why) => format!("a redirect was not followed: {why}"),
            Cause::Incomplete(what) => format!("{what} needs a value that is absent"),
            Cause::Value(failure) => failure.words(),
            Cause::Denied(denial, reason) => format!("`fail_when` says {}: {reason}", denial.code()),
        }
    }
}
