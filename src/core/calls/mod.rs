//! The calls of a rule: compiled to a plan, then run through the host.
//!
//! The order follows from what each call mentions: it starts as soon as the
//! answers that it reads are there, and calls that read none start at once.

mod auth;
mod body;
mod cache;
mod compile;
mod decode;
mod lists;
mod meta;
mod outline;
mod plan;
mod redirect;
mod retry;
mod send;
mod told;

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::StatusCode;
use serde_json::Value;

pub use auth::TokenFault;
pub use compile::{check_changes, check_texts, compile};
pub use decode::{Text, read_text};
pub use outline::{Need, Outline};
pub use plan::Plan;

use self::{
    cache::{Came, Pending},
    lists::{Batch, Taken},
    plan::Call,
    retry::retry_after,
    send::{Ready, Returned, send},
    told::Told,
};
use super::{
    denial::Denial,
    facts::{Facts, Kept, Root},
    freshness::Freshness,
    host::Host,
    message::{Answer, FetchError},
    token::Token,
    trace::{Outcome, Stage, Step, Trace},
    value::{self, Memory},
};

/// A call that failed, and so did the request.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The call's name.
    pub call: String,
    /// What happened.
    pub cause: Cause,
}

/// Why a call gave no answer.
#[derive(Clone, Debug)]
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
    /// A list that is not whole, and why.
    List(&'static str),
    /// The `errors` of a GraphQL answer.
    Graphql,
    /// The request could not be put together: a part of the address is absent.
    Incomplete(String),
    /// A value of the request or a condition failed.
    Value(value::Failure),
    /// `fail_when` found an error in the answer.
    Denied(Denial, String),
}

/// What the calls of a request came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls that were sent.
    pub sent: u32,
    /// Optional calls that failed, by name.
    pub given_up: Vec<String>,
    /// Answers for which nobody was asked: they were kept, or another request was waiting for them.
    pub kept: u32,
    /// Those among them that another request was waiting for.
    pub shared: u32,
    /// Those among them that are old, and stand in for others that cannot be had.
    pub stale: u32,
    /// Answers that could have been kept, and were not there.
    pub missed: u32,
    /// How long what came of it may be used again, if the rule wants to.
    pub again: Freshness,
}

impl Summary {
    /// Counts an answer by where it came from.
    fn count(&mut self, returned: &Returned) {
        self.again = self.again.and(returned.again);
        match returned.came {
            Came::Asked => {}
            Came::Missed => self.missed += 1,
            // It was taken for one that is sent.
            Came::Shared | Came::Kept(_) => {
                self.sent = self.sent.saturating_sub(1);
                self.kept += 1;
                self.shared += u32::from(returned.came == Came::Shared);
            }
            Came::Stale => {
                self.kept += 1;
                self.stale += 1;
                self.missed += 1;
            }
        }
    }
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
    /// When the answer of the rule has to be there, by the host's clock.
    pub until: Option<Duration>,
}

impl<H: Host> Round<'_, H> {
    /// How long a call may take besides its own limit. One that is optional leaves something of the deadline to what
    /// comes after it, so that the request is answered without it, and not too late.
    fn patience(&self, call: &Call) -> Option<Duration> {
        let until = self.until.filter(|_| call.optional)?;
        Some(until.saturating_sub(H::clock()) * 4 / 5)
    }
}

/// Runs all calls; their answers are in `facts` afterwards.
///
/// # Errors
/// The first failure of a call that is not optional; calls still on their way are dropped.
pub async fn run<'r, H: Host>(
    plan: &'r Plan,
    facts: &mut Facts<'r>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    // One request is the common case, and needs no scheduling.
    if let [call] = &plan.calls[..]
        && call.is_one_request()
    {
        if let Begun::Sent(ready) = begin(call, 0, facts, memory, round, summary)? {
            let mut returned = send(call, (0, 0), ready, round).await;
            summary.count(&returned);
            let (pending, again) = (returned.pending.take(), returned.again);
            let fine = finish(call, returned, facts, memory, round, summary);
            settle_kept(pending, call, &fine, again, round).await;
            fine?;
        }
        return Ok(());
    }
    let mut waiting: Vec<usize> = (0..plan.calls.len()).collect();
    let mut done = vec![false; plan.calls.len()];
    let mut batches: Vec<Option<Batch>> = plan.calls.iter().map(|_| None).collect();
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
                    Begun::Sent(ready) => running.push(send(call, (number, 0), ready, round)),
                    Begun::Batch(mut batch) => {
                        let first = batch.start(call);
                        summary.sent += u32::try_from(first.len()).unwrap_or(u32::MAX);
                        running
                            .extend(first.into_iter().map(|(entry, ready)| send(call, (number, entry), ready, round)));
                        batches[number] = Some(batch);
                        done[number] = settle(call, number, &mut batches[number], facts, memory, round, summary);
                    }
                    Begun::Skipped => done[number] = true,
                }
            }
            waiting = still_waiting;
        }
        let Some(mut returned) = running.next().await else { return Ok(()) };
        summary.count(&returned);
        let (pending, again) = (returned.pending.take(), returned.again);
        let number = returned.of.0;
        let call = &plan.calls[number];
        if call.is_one_request() {
            let fine = finish(call, returned, facts, memory, round, summary);
            settle_kept(pending, call, &fine, again, round).await;
            fine?;
            done[number] = true;
        } else if let Some(batch) = &mut batches[number] {
            let (next, fine) = match go_on(call, returned, batch, facts, memory, round, summary) {
                Ok((next, fine)) => (Ok(next), Ok(fine)),
                Err(failure) => (Err(failure), Ok(false)),
            };
            settle_kept(pending, call, &fine, again, round).await;
            match next? {
                Some((entry, ready)) => running.push(send(call, (number, entry), ready, round)),
                None => done[number] = settle(call, number, &mut batches[number], facts, memory, round, summary),
            }
        }
    }
}

/// How a call began.
#[expect(clippy::large_enum_variant, reason = "the large one is the common case, and is moved once")]
enum Begun {
    /// One request, to be sent.
    Sent(Ready),
    /// Several requests, some of them later.
    Batch(Batch),
    /// None: it was skipped or given up, and its answer is null.
    Skipped,
}

/// Puts a call's request together.
fn begin<H>(
    call: &Call,
    number: usize,
    facts: &mut Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<Begun, Failure> {
    let skip = match &call.when {
        Some(when) => when.holds(facts, memory, round.trace).map(|holds| !holds).map_err(Cause::Value),
        None => Ok(false),
    };
    let begun = match skip {
        Ok(true) => {
            note(round, || Told::default().step(call, String::new(), None, Outcome::Skipped));
            facts.answer(number, Kept::Whole(Value::Null));
            return Ok(Begun::Skipped);
        }
        Ok(false) if call.is_one_request() => send::prepare(call, facts, memory, round).map(Begun::Sent),
        Ok(false) => Batch::begin(call, facts, memory, round).map(Begun::Batch),
        Err(cause) => Err(cause),
    };
    match begun {
        Ok(begun) => {
            summary.sent += u32::from(matches!(begun, Begun::Sent(_)));
            Ok(begun)
        }
        Err(cause) => {
            give_up(call, number, cause, Told::default(), None, facts, round, summary)?;
            Ok(Begun::Skipped)
        }
    }
}

/// Keeps an answer that is fine, where the rule asks for that.
async fn settle_kept<H: Host>(
    pending: Option<Box<Pending>>,
    call: &Call,
    fine: &Result<bool, Failure>,
    again: Freshness,
    round: &Round<'_, H>,
) {
    if let Some(pending) = pending {
        pending.settle(call, matches!(fine, Ok(true)), again, round).await;
    }
}

/// Reads the answer of a call that is one request. False if it is none, and the request goes on without it.
fn finish<H>(
    call: &Call,
    returned: Returned,
    facts: &mut Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<bool, Failure> {
    let Returned { of: (number, _), told, answer, kept, .. } = returned;
    let seen = answer.as_ref().map(|answer| (answer.status, answer.body.len()));
    if let Some(answer) = &answer {
        note_meta(call, answer, facts, memory);
    }
    let failed = match kept {
        Ok(kept) => {
            facts.answer(number, kept);
            denied(call, number, facts, memory, round.trace).err()
        }
        Err(cause) => Some(if answer.is_some() { refused(call, cause, facts, memory, round.trace) } else { cause }),
    };
    if let Some(cause) = failed {
        // `fail_when` may have shown the answer to scripts, which must not keep it.
        memory.forget(Root::Call(number), &call.name);
        give_up(call, number, cause, told, seen, facts, round, summary)?;
        return Ok(false);
    }
    if let (Some(trace), Some(answer)) = (round.trace, &answer) {
        trace.add(told.step(call, String::new(), seen, Outcome::Answered));
        trace.add(Step::Decode { call: call.name.clone(), words: call.decoder.words(answer) });
    }
    Ok(true)
}

/// Reads one answer of a call that is several requests; gives the next of them to be sent, and whether it is fine.
fn go_on<'r, H>(
    call: &'r Call,
    returned: Returned,
    batch: &mut Batch,
    facts: &mut Facts<'r>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<(Option<(usize, Ready)>, bool), Failure> {
    let Returned { of, told, answer, kept, .. } = returned;
    let seen = answer.as_ref().map(|answer| (answer.status, answer.body.len()));
    let which = if round.trace.is_some() { batch.words(call, of.1) } else { String::new() };
    match batch.take(call, of, answer.as_ref(), kept, facts, memory, round.trace) {
        Ok(Taken { next, lost }) => {
            summary.sent += u32::from(next.is_some());
            let fine = lost.is_none();
            if lost.is_some() || batch.is_shown() {
                note(round, || {
                    let outcome = lost.map_or(Outcome::Answered, |cause| Outcome::GivenUp(cause.words()));
                    told.step(call, which, seen, outcome)
                });
            }
            Ok((next, fine))
        }
        Err(cause) => {
            // What is still on its way for this call is of no use any more.
            batch.abandon();
            note(round, || Step::Note {
                stage: Stage::Call(call.name.clone()),
                words: format!("{which} failed, and with it the list"),
            });
            give_up(call, of.0, cause, told, seen, facts, round, summary)?;
            Ok((None, false))
        }
    }
}

/// The answer of a call that was several requests, once all of them are done. True if they are.
fn settle<H>(
    call: &Call,
    number: usize,
    batch: &mut Option<Batch>,
    facts: &mut Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> bool {
    let Some(mut whole) = batch.take_if(|batch| batch.is_done()) else { return false };
    if whole.incomplete {
        summary.given_up.push(call.name.clone());
    }
    if let Some(meta) = whole.take_meta(call) {
        facts.answer_meta(&call.name, meta);
        memory.forget(Root::Meta, "meta");
    }
    let words = round.trace.map(|_| whole.summary(call));
    if let Some(list) = whole.answer(call) {
        note(round, || Step::Note { stage: Stage::Call(call.name.clone()), words: words.unwrap_or_default() });
        facts.answer(number, Kept::Whole(Value::Array(list)));
    }
    true
}

/// Keeps what the rule reads of an answer besides its body.
fn note_meta(call: &Call, answer: &Answer, facts: &mut Facts<'_>, memory: &mut Memory) {
    if call.meta.is_read() {
        facts.answer_meta(&call.name, call.meta.of(answer));
        memory.forget(Root::Meta, "meta");
    }
}

/// An optional call that failed has the answer null; any other ends the request.
#[expect(clippy::too_many_arguments, reason = "they are the state of one request, taken apart for the borrow checker")]
fn give_up<H>(
    call: &Call,
    number: usize,
    cause: Cause,
    told: Told,
    seen: Option<(StatusCode, usize)>,
    facts: &mut Facts<'_>,
    round: &Round<'_, H>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    note(round, || {
        let outcome = if call.optional { Outcome::GivenUp } else { Outcome::Failed };
        told.step(call, String::new(), seen, outcome(cause.words()))
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
    if fine { Ok(()) } else { Err(fault(call, answer)) }
}

/// Whose fault a status is.
fn fault(call: &Call, answer: &Answer) -> Cause {
    let status = answer.status;
    match status {
        StatusCode::UNAUTHORIZED if call.carries_token => Cause::Unauthorized,
        StatusCode::FORBIDDEN if call.carries_token => Cause::Forbidden,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Cause::OurCredentials(status),
        StatusCode::TOO_MANY_REQUESTS => Cause::RateLimited(retry_after(answer)),
        _ => Cause::Status(status),
    }
}

/// Looks for an error in an answer whose status is fine.
fn denied(
    call: &Call,
    number: usize,
    facts: &Facts<'_>,
    memory: &mut Memory,
    trace: Option<&Trace>,
) -> Result<(), Cause> {
    for row in &call.fail_when {
        if row.when.holds(facts, memory, trace).map_err(Cause::Value)? {
            return Err(Cause::Denied(row.denial, row.reason.clone()));
        }
    }
    match facts.walk(Root::Call(number), ["errors"]) {
        Some(errors) if call.graphql && !value::is_empty(errors) => Err(Cause::Graphql),
        _ => Ok(()),
    }
}

/// What `fail_when` makes of an answer that is not fine, or that cannot be read: what looks at `meta` of the call is
/// asked of that too. All else would find nothing there, and take that for an answer.
fn refused(call: &Call, cause: Cause, facts: &Facts<'_>, memory: &mut Memory, trace: Option<&Trace>) -> Cause {
    for row in call.fail_when.iter().filter(|row| row.reads_meta) {
        match row.when.holds(facts, memory, trace) {
            Ok(true) => return Cause::Denied(row.denial, row.reason.clone()),
            Ok(false) => {}
            Err(failure) => return Cause::Value(failure),
        }
    }
    cause
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
            Cause::List(why) => format!("the list is not whole: {why}"),
            Cause::Graphql => "the answer has `errors` (GraphQL)".into(),
            Cause::Incomplete(what) => format!("{what} needs a value that is absent"),
            Cause::Value(failure) => failure.words(),
            Cause::Denied(denial, reason) => format!("`fail_when` says {}: {reason}", denial.code()),
        }
    }
}
