//! Claims or a failure become the answer. The only place that knows what a client sees.

mod advice;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::ser::{SerializeMap, Serializer};

use super::{
    calls::{self, Cause, TokenFault},
    claims::{self, Claims},
    denial::Denial,
    jose,
    message::{FetchError, Response, Spare},
    receiver::{self, Errors},
    require, script,
    token::{self, Unverified},
    trace::Stage,
};

/// Everything that can end a request without claims.
#[derive(Clone, Debug)]
pub enum Failure {
    /// No usable token.
    Token(token::Failure),
    /// The token is not what the rule asks for.
    Unverified(Unverified),
    /// A call failed.
    Call(calls::Failure),
    /// A guard does not hold.
    Require(require::Failure),
    /// A claim cannot be made.
    Claims(claims::Failure),
    /// The script failed or rejected the request.
    Script(script::Failure),
    /// The claims are none that the rule's receiver can read.
    Receiver(receiver::Failure),
    /// The time for the whole request is spent.
    Deadline,
    /// More requests are on their way than the settings allow.
    Overload,
    /// The request's body is larger than the settings allow.
    RequestTooLarge,
    /// No rule has this path.
    NoRule,
    /// A method that the endpoint does not have.
    Method,
    /// The request could not be read to its end.
    Unreadable,
    /// The request has more headers than the settings allow.
    TooManyHeaders,
    /// A fault of the program ended the evaluation.
    Panic,
    /// Whoever asks may not, or not now.
    TurnedAway(TurnedAway),
    /// What happened is not for the caller to know: it looks like a token that is not valid, and like all others of
    /// its kind.
    Hidden(Box<Failure>),
}

/// Why a request is turned away before its rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// It comes from an address that is not allowed.
    Network,
    /// Its connection shows no certificate, or one of another name.
    Certificate,
    /// It has no key, or a wrong one.
    Key,
    /// Its address asks too often: so many seconds until it may again.
    ClientRate(u64),
    /// Too much is asked with its token.
    TokenRate(u64),
    /// Too much that came from its address was refused.
    Throttled(u64),
}

/// Who has to look at a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller: its token or its request.
    Caller,
    /// The upstream, or the way to it.
    Upstream,
    /// The rule, its settings or its secrets.
    Us,
}

/// The methods of every endpoint.
pub const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Seconds after which it is worth to ask again, where the upstream does not say.
const RETRY_SECONDS: u64 = 1;
/// The longest wait that is passed on from an upstream, in seconds.
const MAX_RETRY_SECONDS: u64 = 3600;

/// How a failure looks from outside.
struct Outward<'a> {
    status: StatusCode,
    error: &'static str,
    description: &'a str,
    /// `WWW-Authenticate` carries the error (RFC 6750, section 3).
    challenge: bool,
    retry_after: Option<u64>,
}

impl Failure {
    /// The same, without the name of a claim for which this does not hold.
    pub(super) fn without_names(mut self, may_be_told: impl Fn(&str) -> bool) -> Self {
        if let Failure::Claims(claims::Failure { claim, .. }) | Failure::Receiver(receiver::Failure { claim, .. }) =
            &mut self
            && !may_be_told(claim)
        {
            "(named by an answer)".clone_into(claim);
        }
        self
    }

    fn outward(&self) -> Outward<'_> {
        use StatusCode as S;
        let plain =
            |status, error, description| Outward { status, error, description, challenge: false, retry_after: None };
        let challenge = |status, error, description| Outward { challenge: true, ..plain(status, error, description) };
        match self {
            Failure::Token(token::Failure::Missing) => challenge(S::UNAUTHORIZED, "", ""),
            Failure::Token(token::Failure::Malformed) => {
                challenge(S::BAD_REQUEST, "invalid_request", "the access token is malformed")
            }
            Failure::Token(token::Failure::Twice) => {
                challenge(S::BAD_REQUEST, "invalid_request", "more than one access token was sent")
            }
            Failure::Token(token::Failure::InQuery) => challenge(
                S::BAD_REQUEST,
                "invalid_request",
                "an access token in the query is not accepted here: send it in the Authorization header",
            ),
            Failure::Token(token::Failure::Bound) => bound(),
            Failure::Unverified(failure) => unverified(failure),
            Failure::Call(failure) => failure.cause.outward(),
            Failure::Require(require::Failure::Denied(denial, reason)) => denied(*denial, reason),
            Failure::Script(script::Failure::Denied(denial, reason)) => denied(*denial, reason),
            Failure::Require(require::Failure::Value(_))
            | Failure::Claims(_)
            | Failure::Receiver(_)
            | Failure::Script(script::Failure::Value(_)) => plain(
                S::INTERNAL_SERVER_ERROR,
                "server_error",
                "the answer of the provider could not be turned into claims",
            ),
            Failure::Deadline => plain(S::GATEWAY_TIMEOUT, "server_error", "the provider did not answer in time"),
            Failure::Overload => Outward {
                retry_after: Some(RETRY_SECONDS),
                ..plain(S::SERVICE_UNAVAILABLE, "temporarily_unavailable", "too many requests are on their way")
            },
            Failure::RequestTooLarge => plain(S::PAYLOAD_TOO_LARGE, "invalid_request", "the request body is too large"),
            Failure::NoRule => NOTHING,
            Failure::Method => plain(S::METHOD_NOT_ALLOWED, "invalid_request", "the method is not allowed here"),
            Failure::Unreadable => plain(S::BAD_REQUEST, "invalid_request", "the request is malformed, or broke off"),
            Failure::TooManyHeaders => {
                plain(S::REQUEST_HEADER_FIELDS_TOO_LARGE, "invalid_request", "the request has too many headers")
            }
            Failure::Panic => plain(S::INTERNAL_SERVER_ERROR, "server_error", "an internal fault"),
            Failure::TurnedAway(why) => why.outward(),
            Failure::Hidden(failure) => failure.turned_away().unwrap_or(TurnedAway::Key).hidden(),
        }
    }

    /// The limits that a request may meet, as metrics call them.
    pub const LIMITS: [&str; 7] =
        ["deadline", "requests", "request_body", "request_headers", "origin_requests", "answer_body", "call_time"];

    /// Which of the limits it is about, by its place among them.
    pub fn limit(&self) -> Option<usize> {
        let fetch = |error: &FetchError| match error {
            FetchError::Spared(Spare::Busy) => Some(4),
            FetchError::TooLarge(_) => Some(5),
            FetchError::Timeout => Some(6),
            _ => None,
        };
        match self {
            Failure::Deadline => Some(0),
            Failure::Overload => Some(1),
            Failure::RequestTooLarge => Some(2),
            Failure::TooManyHeaders => Some(3),
            Failure::Call(failure) => match &failure.cause {
                Cause::Fetch(error) | Cause::OwnToken(TokenFault::Fetch(error)) => fetch(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.outward().status
    }

    /// The error code of the answer; none if the caller sent no token (RFC 6750, section 3.1).
    pub fn error(&self) -> Option<&'static str> {
        Some(self.outward().error).filter(|error| !error.is_empty())
    }

    /// The step at which the request ended.
    pub fn stage(&self) -> Stage {
        match self {
            Failure::Call(failure) => match failure.cause {
                Cause::Body(_) | Cause::Graphql => Stage::Decode(failure.call.clone()),
                _ => Stage::Call(failure.call.clone()),
            },
            Failure::Require(_) => Stage::Require,
            Failure::Claims(_) => Stage::Map,
            Failure::Script(_) => Stage::Script,
            Failure::Receiver(_) => Stage::Contract,
            Failure::Deadline | Failure::Panic => Stage::Respond,
            Failure::Hidden(failure) => failure.stage(),
            Failure::TurnedAway(_)
            | Failure::Token(_)
            | Failure::Unverified(_)
            | Failure::Overload
            | Failure::RequestTooLarge
            | Failure::NoRule
            | Failure::Method
            | Failure::TooManyHeaders
            | Failure::Unreadable => Stage::Receive,
        }
    }

    /// Who has to look at it.
    pub fn blame(&self) -> Blame {
        match self {
            Failure::Call(failure) => match failure.cause {
                Cause::Unauthorized | Cause::Forbidden | Cause::Denied(..) => Blame::Caller,
                Cause::OurCredentials(_)
                | Cause::OwnToken(
                    TokenFault::Refused(..) | TokenFault::Fetch(FetchError::Refused(_) | FetchError::Barred(_)),
                )
                | Cause::Fetch(FetchError::Refused(_) | FetchError::Barred(_))
                | Cause::Incomplete(_)
                | Cause::Value(_) => Blame::Us,
                Cause::RateLimited(_)
                | Cause::OwnToken(_)
                | Cause::Status(_)
                | Cause::Fetch(_)
                | Cause::Body(_)
                | Cause::Redirect(_)
                | Cause::List(_)
                | Cause::Graphql => Blame::Upstream,
            },
            Failure::Require(require::Failure::Denied(..)) | Failure::Script(script::Failure::Denied(..)) => {
                Blame::Caller
            }
            Failure::Require(_) | Failure::Script(_) | Failure::Claims(_) | Failure::Receiver(_) => Blame::Us,
            Failure::Unverified(Unverified::Unreachable(_) | Unverified::RateLimited(_) | Unverified::Timeout) => {
                Blame::Upstream
            }
            Failure::Unverified(Unverified::OurCredentials(_)) | Failure::Panic => Blame::Us,
            Failure::Deadline => Blame::Upstream,
            Failure::Hidden(failure) => failure.blame(),
            Failure::TurnedAway(_)
            | Failure::Token(_)
            | Failure::Unverified(_)
            | Failure::Overload
            | Failure::RequestTooLarge
            | Failure::NoRule
            | Failure::Method
            | Failure::TooManyHeaders
            | Failure::Unreadable => Blame::Caller,
        }
    }

    /// What happened, for the log: the call, claim or line, and never a token, secret or value.
    pub fn words(&self) -> String {
        match self {
            Failure::Token(token::Failure::Missing) => "no token".into(),
            Failure::Unverified(failure) => format!("token: {}", failure.words()),
            Failure::Call(failure) => format!("call {}: {}", failure.call, failure.cause.words()),
            Failure::Require(require::Failure::Denied(denial, reason)) => {
                format!("require: {}: {reason}", denial.code())
            }
            Failure::Require(require::Failure::Value(failure)) => format!("require: {}", failure.words()),
            Failure::Claims(failure) => format!("claim {}: {}", failure.claim, failure.cause.words()),
            Failure::Receiver(failure) => {
                format!("receiver {}: claim {}: {}", failure.receiver, failure.claim, failure.words)
            }
            Failure::Script(script::Failure::Denied(denial, _)) => format!("script: {}", denial.code()),
            Failure::Script(script::Failure::Value(failure)) => format!("script: {}", failure.words()),
            Failure::Hidden(failure) => failure.words(),
            Failure::TurnedAway(why) => why.words().into(),
            other => other.outward().description.to_owned(),
        }
    }

    /// Why the request was turned away, if it was.
    pub fn turned_away(&self) -> Option<TurnedAway> {
        match self {
            Failure::TurnedAway(why) => Some(*why),
            Failure::Hidden(failure) => failure.turned_away(),
            _ => None,
        }
    }

    /// True if its answer must not tell whether there is a rule, and so has no body: a rule's would be of its own kind.
    fn is_about_nowhere(&self) -> bool {
        use TurnedAway as T;
        matches!(self, Failure::Hidden(_) | Failure::TurnedAway(T::Network | T::Certificate | T::Key))
    }

    /// The answer. `request_id` stands in its body, to be found in the log; for a receiver that would take a body
    /// for a profile there is none, and the error stands in `WWW-Authenticate` alone.
    pub fn response(&self, request_id: &str, errors: Errors) -> Response {
        let outward = self.outward();
        let mute = outward.error.is_empty() || errors == Errors::Empty || self.is_about_nowhere();
        let mut response = if mute {
            Response::new(Bytes::new())
        } else {
            let body = serde_json::json!({
                "error": outward.error,
                "error_description": outward.description,
                "request_id": request_id,
            });
            json(body.to_string())
        };
        *response.status_mut() = outward.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if outward.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge(outward.error, outward.description));
        }
        if let Some(seconds) = outward.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.min(MAX_RETRY_SECONDS)));
        }
        if matches!(self, Failure::Method) {
            headers.insert(header::ALLOW, ALLOW);
        }
        response
    }
}

/// What is at a path without a rule.
const NOTHING: Outward<'static> = Outward {
    status: StatusCode::NOT_FOUND,
    error: "not_found",
    description: "nothing is here",
    challenge: false,
    retry_after: None,
};

impl TurnedAway {
    fn outward(self) -> Outward<'static> {
        match self {
            TurnedAway::Network | TurnedAway::Certificate => NOTHING,
            TurnedAway::Key => denied(Denial::InvalidToken, ""),
            TurnedAway::ClientRate(seconds) | TurnedAway::TokenRate(seconds) | TurnedAway::Throttled(seconds) => {
                Outward {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    error: "temporarily_unavailable",
                    description: "too many requests",
                    challenge: false,
                    retry_after: Some(seconds),
                }
            }
        }
    }

    /// Where keys are asked for, all look like one that is wrong, and only who asks too often is told to wait.
    fn hidden(self) -> Outward<'static> {
        match self.outward() {
            patience @ Outward { status: StatusCode::TOO_MANY_REQUESTS, .. } => patience,
            _ => TurnedAway::Key.outward(),
        }
    }

    /// All of them, as metrics call them.
    pub const NAMES: [&str; 6] = ["network", "certificate", "key", "client_rate", "token_rate", "throttle"];

    /// Its place among the names.
    pub fn index(self) -> usize {
        match self {
            TurnedAway::Network => 0,
            TurnedAway::Certificate => 1,
            TurnedAway::Key => 2,
            TurnedAway::ClientRate(_) => 3,
            TurnedAway::TokenRate(_) => 4,
            TurnedAway::Throttled(_) => 5,
        }
    }

    fn words(self) -> &'static str {
        match self {
            TurnedAway::Network => "access: the address is in none of the networks",
            TurnedAway::Certificate => "access: no certificate with one of the names",
            TurnedAway::Key => "access: no key, or a wrong one",
            TurnedAway::ClientRate(_) => "access: the address asks too often",
            TurnedAway::TokenRate(_) => "access: too much is asked with this token",
            TurnedAway::Throttled(_) => "access: too much that came from the address was refused",
        }
    }
}

impl Cause {
    fn outward(&self) -> Outward<'_> {
        use StatusCode as S;
        let plain =
            |status, error, description| Outward { status, error, description, challenge: false, retry_after: None };
        match self {
            Cause::Unauthorized => denied(Denial::InvalidToken, Denial::InvalidToken.reason()),
            Cause::Forbidden => denied(Denial::InsufficientScope, Denial::InsufficientScope.reason()),
            Cause::Denied(denial, reason) => denied(*denial, reason),
            Cause::RateLimited(seconds) | Cause::OwnToken(TokenFault::RateLimited(seconds)) => Outward {
                retry_after: Some(seconds.unwrap_or(RETRY_SECONDS)),
                ..plain(S::SERVICE_UNAVAILABLE, "temporarily_unavailable", "the provider limits the rate of requests")
            },
            Cause::Fetch(FetchError::Spared(spare)) | Cause::OwnToken(TokenFault::Fetch(FetchError::Spared(spare)))
                if *spare != Spare::Resting =>
            {
                spared(*spare)
            }
            Cause::Fetch(FetchError::Timeout) | Cause::OwnToken(TokenFault::Fetch(FetchError::Timeout)) => {
                plain(S::GATEWAY_TIMEOUT, "server_error", "the provider did not answer in time")
            }
            Cause::OurCredentials(_)
            | Cause::OwnToken(_)
            | Cause::Status(_)
            | Cause::Fetch(_)
            | Cause::Body(_)
            | Cause::Redirect(_)
            | Cause::List(_)
            | Cause::Graphql => plain(S::BAD_GATEWAY, "server_error", "the provider gave no usable answer"),
            Cause::Incomplete(_) | Cause::Value(_) => {
                plain(S::INTERNAL_SERVER_ERROR, "server_error", "the request to the provider could not be made")
            }
        }
    }
}

/// Nothing was sent: the provider, or we, would have had too much to do.
fn spared(spare: Spare) -> Outward<'static> {
    let (seconds, description) = match spare {
        Spare::Limited(seconds) => (seconds, "the provider limits the rate of requests"),
        Spare::Busy | Spare::Resting => (RETRY_SECONDS, "too many requests to the provider are on their way"),
    };
    Outward {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "temporarily_unavailable",
        description,
        challenge: false,
        retry_after: Some(seconds),
    }
}

fn bound() -> Outward<'static> {
    Outward {
        status: StatusCode::BAD_REQUEST,
        error: "invalid_request",
        description: "a sender-constrained token (DPoP, or bound to a certificate) cannot be forwarded",
        challenge: true,
        retry_after: None,
    }
}

fn unverified(failure: &Unverified) -> Outward<'_> {
    use StatusCode as S;
    let plain = |status, description| Outward {
        status,
        error: "server_error",
        description,
        challenge: false,
        retry_after: None,
    };
    match failure {
        Unverified::Token(jose::Failure::Scope) => {
            denied(Denial::InsufficientScope, Denial::InsufficientScope.reason())
        }
        Unverified::Token(_) | Unverified::Inactive => {
            denied(Denial::InvalidToken, "the access token is not valid here")
        }
        Unverified::Bound => bound(),
        Unverified::RateLimited(seconds) => Outward {
            status: S::SERVICE_UNAVAILABLE,
            error: "temporarily_unavailable",
            description: "the provider limits the rate of requests",
            challenge: false,
            retry_after: Some(seconds.unwrap_or(RETRY_SECONDS)),
        },
        Unverified::OurCredentials(_) | Unverified::Unreachable(_) => {
            plain(S::BAD_GATEWAY, "the access token could not be verified")
        }
        Unverified::Timeout => plain(S::GATEWAY_TIMEOUT, "the access token could not be verified in time"),
    }
}

fn denied(denial: Denial, reason: &str) -> Outward<'_> {
    Outward {
        status: denial.status(),
        error: denial.code(),
        description: reason,
        challenge: denial != Denial::TemporarilyUnavailable,
        retry_after: (denial == Denial::TemporarilyUnavailable).then_some(RETRY_SECONDS),
    }
}

/// `WWW-Authenticate` (RFC 6750, section 3). Without an error the caller sent no token at all.
fn challenge(error: &str, description: &str) -> HeaderValue {
    if error.is_empty() {
        return HeaderValue::from_static("Bearer");
    }
    if description.is_empty() {
        return HeaderValue::try_from(format!("Bearer error=\"{error}\""))
            .unwrap_or(HeaderValue::from_static("Bearer"));
    }
    // RFC 6750 allows %x20-21 / %x23-5B / %x5D-7E in a description.
    let sound = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    let description: String = description.chars().map(|c| if sound(c) { c } else { '?' }).collect();
    HeaderValue::try_from(format!("Bearer error=\"{error}\", error_description=\"{description}\""))
        .unwrap_or(HeaderValue::from_static("Bearer"))
}

/// The answer with the claims, in their order.
pub fn claims(claims: &Claims<'_>) -> Response {
    let mut body = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut body);
    let written = serializer.serialize_map(Some(claims.len())).and_then(|mut map| {
        for (name, value) in claims {
            map.serialize_entry(&**name, &**value)?;
        }
        SerializeMap::end(map)
    });
    written.expect("writing JSON values with text keys into memory does not fail");
    again(body.into())
}

/// The answer with claims that were written before.
pub fn again(body: Bytes) -> Response {
    let mut response = json(body);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// The answer to `OPTIONS`.
pub fn options() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, ALLOW);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

fn json(body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
