//! One request: hyper's form in, the core's answer out, one line in the log.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{Shared, Upstream, clock};
use crate::core::{Blame, Failure, Outcome, Reception, Request, Summary, answer};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        let started = clock();
        let id = self.ids.take(request.headers().get(&REQUEST_ID));
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let text = id.to_str().unwrap_or_default();
        let outcome = self.outcome(request, text).await;
        self.log(&method, &path, text, &outcome, clock().saturating_sub(started));
        let mut response = outcome.response.map(Full::new);
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }

    async fn outcome(&self, request: hyper::Request<Incoming>, id: &str) -> Outcome {
        let settings = &self.shared.settings;
        let failed = |failure: Failure| Outcome {
            response: failure.response(id),
            failure: Some(failure),
            calls: Summary::default(),
        };
        let in_flight = self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let _one_less = Leaving(&self.shared);
        if in_flight >= settings.max_requests {
            return failed(Failure::Overload);
        }
        let reception = Reception { query_token: settings.query_token };
        let work = async {
            let request = match receive(request, settings.max_request_body).await {
                Ok(request) => request,
                Err(failure) => return failed(failure),
            };
            answer(&self.shared.routes, &request, id, reception, &self.upstream).await
        };
        tokio::time::timeout(settings.deadline.0, work).await.unwrap_or_else(|_| failed(Failure::Deadline))
    }

    /// One line a request: no token, no secret, no claim, and no path that is no rule's name.
    fn log(&self, method: &Method, path: &str, id: &str, outcome: &Outcome, took: Duration) {
        let rule = if self.shared.routes.find(path).is_some() { path.trim_start_matches('/') } else { "-" };
        let status = outcome.response.status().as_u16();
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let calls = outcome.calls.sent;
        let method = method.as_str();
        let given_up = outcome.calls.given_up.join(",");
        match &outcome.failure {
            None if given_up.is_empty() => {
                tracing::info!(rule, method, status, duration_us, calls, request_id = id, "answered");
            }
            None => {
                tracing::warn!(
                    rule,
                    method,
                    status,
                    duration_us,
                    calls,
                    given_up,
                    request_id = id,
                    "answered without an optional call"
                );
            }
            Some(failure) => {
                let reason = failure.words();
                match failure.blame() {
                    Blame::Caller => {
                        tracing::info!(rule, method, status, duration_us, calls, reason, request_id = id, "refused")
                    }
                    Blame::Upstream => {
                        tracing::warn!(rule, method, status, duration_us, calls, reason, request_id = id, "failed")
                    }
                    Blame::Us => {
                        tracing::error!(rule, method, status, duration_us, calls, reason, request_id = id, "failed")
                    }
                }
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

/// Reads the body of a POST; other methods' bodies have no meaning here and are left unread.
async fn receive(request: hyper::Request<Incoming>, max_body: usize) -> Result<Request, Failure> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Ok(Request::from_parts(head, Bytes::new()));
    }
    match Limited::new(body, max_body).collect().await {
        Ok(body) => Ok(Request::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::RequestTooLarge),
        Err(_) => Err(Failure::Unreadable),
    }
}

/// Request ids: the caller's, or the next of our own.
struct Ids {
    prefix: u64,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        // Ids need to differ between workers and restarts, not to be unguessable.
        use std::hash::{BuildHasher, RandomState};
        Ids { prefix: RandomState::new().hash_one(clock()), next: AtomicU64::new(1) }
    }

    /// A caller's id is taken over if it is short and plain, so that it cannot forge log lines.
    fn take(&self, given: Option<&HeaderValue>) -> HeaderValue {
        const MAX: usize = 128;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
        match given {
            Some(id) if !id.is_empty() && id.len() <= MAX && id.as_bytes().iter().all(plain) => id.clone(),
            _ => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                HeaderValue::try_from(format!("{:016x}-{number:x}", self.prefix))
                    .unwrap_or(HeaderValue::from_static("unknown"))
            }
        }
    }
}
