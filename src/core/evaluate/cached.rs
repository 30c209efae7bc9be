//! `cache` of a rule: its answer is used again for the same token, and what is asked at the same time is asked once.
//!
//! The claims are kept as they are sent, so that a hit is one look into the store: no document, no call, no claim.

use std::{sync::Arc, time::Duration};

use super::{Work, tell};
use crate::core::{
    calls::{self, Cause, Summary},
    freshness::Freshness,
    host::Host,
    message::Response,
    response::{self, Failure},
    rule::Lifetimes,
    store::{Entry, Key, Seal, Stored},
    token::Unverified,
    trace::{Stage, Step, Trace},
};

/// The answer that is kept for a request, or a new one.
pub(super) async fn answer<H: Host>(
    lifetimes: Lifetimes,
    work: Work<'_, H>,
    calls: &mut Summary,
) -> Result<Response, Failure> {
    let Some(seal) = work.host.seal() else { return work.run(calls).await };
    let key = key(seal, &work);
    let old = work.host.recall(&key).await;
    let until = match &old {
        Some(Entry { value: Stored::Claims { until, .. }, .. }) => *until,
        // It has no other use than to be taken while it is there.
        Some(_) => Duration::MAX,
        None => Duration::ZERO,
    };
    let trace = work.trace;
    match old {
        Some(entry) if H::now() < until => {
            calls.kept += 1;
            note(trace, "the answer is kept");
            take(&entry)
        }
        // The whole of the work is moved there, and not by those who find an answer.
        old => Box::pin(anew(lifetimes, &key, old, work, calls)).await,
    }
}

/// Everything that the answer depends on: the rule with its vars and secrets, the token and how it came, and what the
/// document shows of the request.
fn key<H>(seal: &Seal, work: &Work<'_, H>) -> Key {
    let received = work.token.as_received();
    let request = work.rule.reads_request.then(|| work.describe().to_string());
    seal.name("answer of a rule")
        .part(work.rule.revision.bytes())
        // The field that the token came in holds it.
        .list(received.as_ref().map(http::HeaderValue::as_bytes))
        .list(received.is_none().then(|| work.token.value()))
        .list(request)
        .key()
}

/// A new answer, and an old one where that cannot be had.
async fn anew<H: Host>(
    lifetimes: Lifetimes,
    key: &Key,
    old: Option<Entry>,
    work: Work<'_, H>,
    calls: &mut Summary,
) -> Result<Response, Failure> {
    let (host, trace) = (work.host, work.trace);
    let mut asked = false;
    let flight = async {
        asked = true;
        make(lifetimes, key, old.as_ref(), &work, calls).await
    };
    let outcome = host.shared(&key.flight(), flight).await;
    if asked {
        calls.missed += 1;
    } else {
        calls.kept += 1;
        calls.shared += 1;
        note(trace, "another request waits for the same answer");
    }
    match outcome {
        Ok(entry) => take(&entry),
        Err(failure) => match old {
            Some(entry) if may_pass(&failure) => {
                calls.kept += 1;
                calls.stale += 1;
                note(trace, "the answer is old: there is no new one");
                take(&entry)
            }
            old => {
                if let Some(old) = old {
                    host.forget(key, &old).await;
                }
                Err(failure)
            }
        },
    }
}

/// A new answer, which is kept if it may be used again. Those who wait for it get it; it lives on in its own place.
async fn make<H: Host>(
    lifetimes: Lifetimes,
    key: &Key,
    old: Option<&Entry>,
    work: &Work<'_, H>,
    calls: &mut Summary,
) -> Result<Entry, Failure> {
    let Lifetimes { ttl, stale, refused } = lifetimes;
    let result = work.run(calls).await;
    let now = H::now();
    // What an optional call would have added may be there the next time.
    let whole = calls.given_up.is_empty() && calls.stale == 0;
    let (value, lifetime) = match result {
        Ok(response) => {
            let end = work.token.expires().map_or(Freshness::UNBOUND, |end| Freshness::until(end, now));
            let again = if whole { calls.again.and(end) } else { Freshness::NONE };
            let (fresh, kept) = again.within(ttl, stale);
            (Stored::Claims { body: response.into_body(), until: now.saturating_add(fresh) }, kept)
        }
        Err(Failure::Call(calls::Failure { call, cause: Cause::Unauthorized })) if !refused.is_zero() => {
            (Stored::Refused(Arc::from(call)), refused)
        }
        Err(failure) => return Err(failure),
    };
    if !lifetime.is_zero() {
        work.host.keep(key, Entry { value: value.clone(), lifetime }).await;
    } else if let Some(old) = old.filter(|_| whole) {
        // The upstream has the new one kept no more, and the old one is older.
        work.host.forget(key, old).await;
    }
    Ok(Entry { value, lifetime: Duration::ZERO })
}

/// What an entry says.
fn take(entry: &Entry) -> Result<Response, Failure> {
    match &entry.value {
        Stored::Claims { body, .. } => Ok(response::again(body.clone())),
        Stored::Refused(call) => {
            Err(Failure::Call(calls::Failure { call: call.to_string(), cause: Cause::Unauthorized }))
        }
        // Nothing else has such a key.
        _ => Err(Failure::Overload),
    }
}

/// True for a failure that says nothing of the token or the user, and may be over soon.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Call(failure) => failure.cause.may_pass(),
        Failure::Unverified(failure) => {
            matches!(failure, Unverified::Unreachable(_) | Unverified::RateLimited(_) | Unverified::Timeout)
        }
        _ => false,
    }
}

fn note(trace: Option<&Trace>, words: &str) {
    tell(trace, || Step::Note { stage: Stage::Respond, words: words.into() });
}
