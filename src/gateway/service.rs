//! One request: hyper's form in, the core's answer out, one line in the log.

use std::{
    convert::Infallible,
    fmt::Write,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{Shared, Upstream, clock};
use crate::core::{Blame, CompiledRule, Failure, Outcome, Reception, Request, answer, refuse};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Methods whose names a log line may bear.
const STANDARD_METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// What answers the requests of one worker.
pub(super) struct Service {
    shared: Arc<Shared>,
    upstream: Upstream,
    ids: Ids,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>, upstream: Upstream) -> Self {
        Service { shared, upstream, ids: Ids::new() }
    }

    /// Answers a request; never fails, whatever happens becomes an answer.
    pub(super) async fn respond(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        let started = clock();
        let id = self.ids.take(request.headers().get(&REQUEST_ID));
        let text = id.to_str().unwrap_or_default();
        let (head, body) = request.into_parts();
        let mut request = Request::from_parts(head, Bytes::new());
        let outcome = self.within_limits(&mut request, body, text).await;
        self.log(&request, text, &outcome, clock().saturating_sub(started));
        let mut response = outcome.response.map(Full::new);
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }

    /// Answers within the deadline, if not too many others are being answered.
    async fn within_limits(&self, request: &mut Request, body: Incoming, id: &str) -> Outcome {
        let settings = &self.shared.settings;
        let rule = self.shared.routes.find(request.uri().path());
        let in_flight = self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let _one_less = Leaving(&self.shared);
        if in_flight >= settings.max_requests {
            return refuse(rule, Failure::Overload, id);
        }
        // Not `tokio::time::timeout`: that would move the whole evaluation.
        let deadline =
            pin!(tokio::time::sleep(rule.map_or(settings.deadline.0, |rule| rule.deadline(settings.deadline.0))));
        let work = pin!(self.evaluate(rule, request, body, id));
        match select(work, deadline).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => refuse(rule, Failure::Deadline, id),
        }
    }

    async fn evaluate(&self, rule: Option<&CompiledRule>, request: &mut Request, body: Incoming, id: &str) -> Outcome {
        let settings = &self.shared.settings;
        // The bodies of other methods have no meaning here and are left unread.
        if request.method() == Method::POST {
            match receive(body, settings.max_request_body).await {
                Ok(body) => *request.body_mut() = body,
                Err(failure) => return refuse(rule, failure, id),
            }
        }
        let reception = Reception { query_token: settings.query_token };
        answer(rule, request, id, reception, &self.upstream).await
    }

    /// One line a request: no token, no secret, no claim, and no path that is no rule's name.
    fn log(&self, request: &Request, id: &str, outcome: &Outcome, took: Duration) {
        // A path or method that we do not know may be anything, also a token in the wrong place.
        let path = request.uri().path();
        let known = outcome.failure.is_none() || self.shared.routes.find(path).is_some();
        let rule = if known { path.trim_start_matches('/') } else { "-" };
        let method = match request.method() {
            method if STANDARD_METHODS.contains(method) => method.as_str(),
            _ => "-",
        };
        let status = outcome.response.status().as_u16();
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let calls = outcome.calls.sent;
        let given_up = (!outcome.calls.given_up.is_empty()).then(|| outcome.calls.given_up.join(","));
        let given_up = given_up.as_deref();
        let some = |count: u32| (count > 0).then_some(count);
        let (kept, stale) = (some(outcome.calls.kept), some(outcome.calls.stale));
        let reason = outcome.failure.as_ref().map(Failure::words);
        let reason = reason.as_deref();
        let message = if reason.is_some() { "refused" } else { "answered" };
        match outcome.failure.as_ref().map(Failure::blame) {
            Some(Blame::Us) => {
                tracing::error!(
                    rule,
                    method,
                    status,
                    duration_us,
                    calls,
                    kept,
                    stale,
                    given_up,
                    reason,
                    request_id = id,
                    message
                );
            }
            Some(Blame::Upstream) => {
                tracing::warn!(
                    rule,
                    method,
                    status,
                    duration_us,
                    calls,
                    kept,
                    stale,
                    given_up,
                    reason,
                    request_id = id,
                    message
                );
            }
            None if given_up.is_some() || stale.is_some() => {
                tracing::warn!(
                    rule,
                    method,
                    status,
                    duration_us,
                    calls,
                    kept,
                    stale,
                    given_up,
                    reason,
                    request_id = id,
                    message
                );
            }
            None | Some(Blame::Caller) => {
                tracing::info!(
                    rule,
                    method,
                    status,
                    duration_us,
                    calls,
                    kept,
                    stale,
                    given_up,
                    reason,
                    request_id = id,
                    message
                );
            }
        }
    }
}

/// Counts a request that is gone, however it went.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a body to its end.
async fn receive(body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::RequestTooLarge),
        Err(_) => Err(Failure::Unreadable),
    }
}

/// Request ids: the caller's, or the next of our own.
struct Ids {
    prefix: String,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        // Ids need to differ between workers and restarts, not to be unguessable.
        use std::hash::{BuildHasher, RandomState};
        Ids { prefix: format!("{:016x}-", RandomState::new().hash_one(clock())), next: AtomicU64::new(1) }
    }

    /// A caller's id is taken over if it is short and plain, so that it cannot forge log lines.
    fn take(&self, given: Option<&HeaderValue>) -> HeaderValue {
        const MAX: usize = 128;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
        match given {
            Some(id) if !id.is_empty() && id.len() <= MAX && id.as_bytes().iter().all(plain) => id.clone(),
            _ => {
                let mut id = String::with_capacity(self.prefix.len() + 16);
                id.push_str(&self.prefix);
                // Writing to a string does not fail.
                let _ = write!(id, "{:x}", self.next.fetch_add(1, Ordering::Relaxed));
                HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
            }
        }
    }
}
