//! What serves while an execution environment lives: host, rules, and the answer to an event.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use claimsmith::{
    config::Settings,
    core::{
        Blame, CompiledRule, Failure, Host, Outcome, Reception, Request, Response, Routes, answer,
        problem::{Severity, as_json},
        refuse,
    },
    gateway::{Store, Upstream, load},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, header};
use lambda_http::{Body, Context, RequestExt};

use crate::parameters;

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// In place of the name of a rule, if there is none.
const NOWHERE: &str = "-";
/// What is left of the function's own time when a request is given up, so that there still is an answer.
const MARGIN: Duration = Duration::from_millis(250);

/// All that serves.
pub struct Serving {
    settings: Arc<Settings>,
    host: Upstream,
    routes: Routes<CompiledRule>,
}

impl Serving {
    /// Reads and compiles the rules. One with an error is refused, the others serve.
    ///
    /// # Errors
    /// A sentence: the folder cannot be read, or a secret cannot be had.
    pub async fn load(settings: &Arc<Settings>) -> Result<Self, String> {
        let secrets = parameters::load(settings).await?;
        let host = Upstream::new(settings, secrets, Store::with(settings))?;
        let loaded = load(settings, &host)?;
        for problem in loaded.problems.iter().filter(|problem| problem.severity() > Severity::Advice) {
            let problem = as_json(problem).to_string();
            tracing::warn!(target: "claimsmith", problem, "a rule has a problem");
        }
        for rule in &loaded.refused {
            tracing::error!(target: "claimsmith", rule, "the rule is refused");
        }
        Ok(Serving { settings: settings.clone(), host, routes: loaded.routes })
    }

    /// Answers an event; never fails, whatever happens becomes an answer.
    pub async fn respond(&self, event: lambda_http::Request) -> http::Response<Body> {
        let began = Upstream::clock();
        let left = event.lambda_context_ref().map_or(Duration::MAX, left);
        let id = request_id(&event);
        let text = id.to_str().unwrap_or_default();
        let (head, body) = event.into_parts();
        let body = if head.method == Method::POST { Bytes::from(body.to_vec()) } else { Bytes::new() };
        let request = Request::from_parts(head, body);
        let rule = self.routes.find(request.uri().path());
        let outcome = match AssertUnwindSafe(self.within_limits(rule, &request, text, left)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => refuse(rule, Failure::Panic, text),
        };
        tell(rule, &request, text, &outcome, Upstream::clock().saturating_sub(began));
        let mut response = outward(outcome.response);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    async fn within_limits(&self, rule: Option<&CompiledRule>, request: &Request, id: &str, left: Duration) -> Outcome {
        let settings = &self.settings;
        if request.headers().len() > settings.max_request_headers {
            return refuse(rule, Failure::TooManyHeaders, id);
        }
        if request.body().len() > settings.max_request_body {
            return refuse(rule, Failure::RequestTooLarge, id);
        }
        let deadline = rule.map_or(settings.deadline.0, |rule| rule.deadline(settings.deadline.0)).min(left);
        let until = Upstream::clock().saturating_add(deadline);
        let reception = Reception { query_token: settings.query_token, until: Some(until) };
        let work = answer(rule, request, id, reception, &self.host, None);
        match tokio::time::timeout(deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) => refuse(rule, Failure::Deadline, id),
        }
    }
}

/// The answer while there are no rules.
pub fn unavailable() -> http::Response<Body> {
    let mut response = http::Response::new(Body::Empty);
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The time that the platform gives to this event.
fn left(context: &Context) -> Duration {
    let end = Duration::from_millis(context.deadline);
    end.saturating_sub(Upstream::now()).saturating_sub(MARGIN)
}

/// The caller's id if it is short and plain, so that it cannot forge log lines; otherwise that of the event.
fn request_id(event: &lambda_http::Request) -> HeaderValue {
    const MAX: usize = 128;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    let sound = |id: &&HeaderValue| !id.is_empty() && id.len() <= MAX && id.as_bytes().iter().all(plain);
    let given = event.headers().get(&REQUEST_ID).filter(sound).cloned();
    let own = || HeaderValue::try_from(&event.lambda_context_ref()?.request_id).ok();
    given.or_else(own).unwrap_or(HeaderValue::from_static("unknown"))
}

fn outward(response: Response) -> http::Response<Body> {
    response.map(|body| match std::str::from_utf8(&body) {
        Ok("") => Body::Empty,
        // An answer is JSON.
        Ok(text) => Body::Text(text.to_owned()),
        Err(_) => Body::Binary(body.to_vec()),
    })
}

/// One line: no token, no secret, no claim, and no path that is no rule's name.
fn tell(rule: Option<&CompiledRule>, request: &Request, id: &str, outcome: &Outcome, took: Duration) {
    let rule = rule.map_or(NOWHERE, CompiledRule::name);
    let usual = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
    let method = if usual.contains(request.method()) { request.method().as_str() } else { "-" };
    let status = outcome.response.status().as_u16();
    let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let calls = outcome.calls.sent;
    let given_up = (!outcome.calls.given_up.is_empty()).then(|| outcome.calls.given_up.join(","));
    let given_up = given_up.as_deref();
    let reason = outcome.failure.as_ref().map(Failure::words);
    let reason = reason.as_deref();
    let message = if reason.is_some() { "refused" } else { "answered" };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "claimsmith",
                rule,
                method,
                status,
                duration_us,
                calls,
                given_up,
                reason,
                request_id = id,
                message
            )
        };
    }
    match outcome.failure.as_ref().map(Failure::blame) {
        Some(Blame::Us) => line!(error),
        Some(Blame::Upstream) => line!(warn),
        None if given_up.is_some() => line!(warn),
        None | Some(Blame::Caller) => line!(info),
    }
}
