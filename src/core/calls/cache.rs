//! `cache` of a call: an answer is used again for the same request, and requests that are on their way at the same
//! time are one.
//!
//! An answer is kept once it was judged and found fine, `fail_when` included, and it is judged again whenever it is
//! taken. So an error inside a 200 is not kept, and none is ever taken for a profile.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{Cause, Round, TokenFault, plan::Call, send::exchange, told::Told};
use crate::core::{
    freshness::Freshness,
    host::Host,
    message::{Answer, FetchError, Outgoing},
    rule::Lifetimes,
    store::{Entry, Key, Seal, Stored},
};

/// How the answers of a call are used again.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) lifetimes: Lifetimes,
    /// The revision of the rule: another one is another scope.
    pub(super) revision: Key,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The upstream was asked for this request.
    Asked,
    /// The same, as nothing was kept.
    Missed,
    /// It was asked for another that is the same.
    Shared,
    /// It was there, and is as good as new until then.
    Kept(Duration),
    /// It was there, and is old; there is no other.
    Stale,
}

/// An answer, and what is to become of it.
pub(super) struct Got {
    pub(super) answer: Result<Answer, Cause>,
    pub(super) came: Came,
    pub(super) pending: Option<Box<Pending>>,
}

/// An answer that is kept if it turns out to be fine.
pub(super) struct Pending {
    key: Key,
    answer: Arc<Answer>,
    /// What is there of old.
    old: Option<Entry>,
}

impl Got {
    /// An answer that nobody else is to have.
    pub(super) fn asked(answer: Result<Answer, Cause>) -> Self {
        Got { answer, came: Came::Asked, pending: None }
    }
}

impl Cache {
    /// The answer to a request: one that is kept, or that another request is waiting for, or the upstream's.
    pub(super) async fn get<H: Host>(
        &self,
        call: &Call,
        outgoing: Outgoing,
        round: &Round<'_, H>,
        told: &mut Told,
    ) -> Got {
        let Some(seal) = round.host.seal() else { return Got::asked(exchange(call, outgoing, round, told).await) };
        let key = self.key(seal, call, &outgoing, round.token.value());
        let began = Told::clock(round);
        let old = round.host.recall(&key).await;
        if let Some(Entry { value: Stored::Answer { answer, until }, .. }) = &old
            && H::now() < *until
        {
            told.did("kept answer", began, || answer.status.as_u16().to_string(), round);
            return Got { answer: Ok(Answer::clone(answer)), came: Came::Kept(*until), pending: None };
        }
        let mut asked = false;
        let flight = async {
            asked = true;
            let answer = exchange(call, outgoing, round, told).await?;
            let value = Stored::Answer { answer: Arc::new(answer), until: Duration::ZERO };
            // Those who wait for it get it; nobody else does.
            Ok(Entry { value, lifetime: Duration::ZERO })
        };
        let outcome = round.host.shared(&key.flight(), flight).await;
        let outcome = outcome.and_then(|entry| match entry.value {
            Stored::Answer { answer, .. } => Ok(answer),
            _ => Err(Cause::Body("another entry is kept in its place".into())),
        });
        if !asked {
            told.did("answer to another request", began, || "shared".into(), round);
        }
        if let Some(Entry { value: Stored::Answer { answer, .. }, .. }) = &old
            && passes(call, &outcome)
        {
            told.did("old answer", Told::clock(round), || answer.status.as_u16().to_string(), round);
            return Got { answer: Ok(Answer::clone(answer)), came: Came::Stale, pending: None };
        }
        let came = if asked { Came::Missed } else { Came::Shared };
        let pending = match &outcome {
            Ok(answer) if asked => Some(Box::new(Pending { key, answer: answer.clone(), old })),
            _ => None,
        };
        Got { answer: outcome.map(Arc::unwrap_or_clone), came, pending }
    }

    /// Everything that goes into the request, and the caller's token wherever it stands in it.
    fn key(&self, seal: &Seal, call: &Call, outgoing: &Outgoing, token: &str) -> Key {
        let Outgoing { method, url, headers, body, timeout: _, identity, number: _ } = outgoing;
        let headers = headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
        seal.name("answer of an upstream")
            .part(self.revision.bytes())
            .part(&call.name)
            .part(method.as_str())
            .part(url.as_str())
            .list(headers)
            .part(body)
            .list(call.carries_token.then_some(token))
            .list(call.own_token.as_ref().map(|own| own.name().bytes()))
            .list(identity.as_ref().map(|identity| identity.name().bytes().to_owned()))
            .key()
    }
}

/// True for a failure that is the upstream's, and may be over soon.
fn passes(call: &Call, outcome: &Result<Arc<Answer>, Cause>) -> bool {
    match outcome {
        Ok(answer) => may_pass(answer.status) && !call.expect.contains(&answer.status.as_u16()),
        Err(cause) => cause.may_pass(),
    }
}

/// Statuses for which an old answer may stand in (RFC 5861, section 4), and that of an upstream that has too much to do.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

impl Cause {
    /// True for a failure that says nothing of the token or the user, and may be over soon.
    pub fn may_pass(&self) -> bool {
        let fetch = |error: &FetchError| {
            use FetchError as E;
            matches!(error, E::Timeout | E::Connect(_) | E::Broken(_) | E::Spared(_))
        };
        match self {
            Cause::RateLimited(_) | Cause::OwnToken(TokenFault::RateLimited(_)) => true,
            Cause::Fetch(error) | Cause::OwnToken(TokenFault::Fetch(error)) => fetch(error),
            Cause::Status(status) | Cause::OwnToken(TokenFault::Status(status)) => may_pass(*status),
            _ => false,
        }
    }
}

impl Pending {
    /// Keeps the answer if it is fine, and lets go of what was there if it is not.
    pub(super) async fn settle<H: Host>(self, call: &Call, fine: bool, again: Freshness, round: &Round<'_, H>) {
        let Some(cache) = &call.cache else { return };
        let Lifetimes { ttl, stale, refused } = cache.lifetimes;
        let now = H::now();
        let again = match call.carries_token.then(|| round.token.expires()).flatten() {
            Some(end) => again.and(Freshness::until(end, now)),
            None => again,
        };
        let (fresh, whole) = match fine {
            true => again.within(ttl, stale),
            false if call.carries_token && self.answer.status == StatusCode::UNAUTHORIZED => (refused, refused),
            false => (Duration::ZERO, Duration::ZERO),
        };
        if whole > Duration::ZERO {
            let answer = Arc::new(trim(call, &self.answer, fine));
            let value = Stored::Answer { answer, until: now.saturating_add(fresh) };
            round.host.keep(&self.key, Entry { value, lifetime: whole }).await;
        } else if let Some(old) = &self.old {
            round.host.forget(&self.key, old).await;
        }
    }
}

/// What is read of an answer, in memory of its own: a body may be part of a larger buffer. Of a refusal that is its
/// status.
fn trim(call: &Call, answer: &Answer, fine: bool) -> Answer {
    let read = |name: &HeaderName| {
        fine && ([header::CONTENT_TYPE, header::CACHE_CONTROL].contains(name) || call.meta.reads(name))
    };
    let headers = answer.headers.iter().filter(|(name, _)| read(name));
    let mut kept = HeaderMap::new();
    headers.for_each(|(name, value)| _ = kept.append(name, value.clone()));
    let body = if fine { bytes::Bytes::copy_from_slice(&answer.body) } else { bytes::Bytes::new() };
    Answer { status: answer.status, headers: kept, body }
}
