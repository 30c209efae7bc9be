//! What to do about a failure, for people who try a rule: the row of the failure table that it is, and the remedy.

use super::{Failure, TurnedAway as T};
use crate::core::{
    calls::{Cause, TokenFault},
    claims, jose,
    message::{FetchError, Spare},
    require, script,
    token::{self, Unverified},
    value,
};

impl Failure {
    /// The row of the failure table, as README has it.
    pub fn row(&self) -> &'static str {
        match self {
            Failure::Token(token::Failure::Missing) => "no token",
            Failure::Token(token::Failure::Bound) | Failure::Unverified(Unverified::Bound) => {
                "a DPoP or certificate-bound token"
            }
            Failure::Token(_) => "malformed token, more than one, a token in the query",
            Failure::Unverified(Unverified::Token(_) | Unverified::Inactive) => "`[token]` does not accept the token",
            Failure::Unverified(Unverified::RateLimited(_)) => {
                "the provider answers 429, or asked to be spared by this caller for a while"
            }
            Failure::Unverified(Unverified::Timeout) => "the deadline is spent",
            Failure::Unverified(_) => "the issuer's keys or introspection cannot be had, or refuse us",
            Failure::Call(failure) => failure.cause.row(),
            Failure::Require(require::Failure::Denied(..)) | Failure::Script(script::Failure::Denied(..)) => {
                "`require`, `fail_when`, `reject`"
            }
            Failure::Require(_) | Failure::Script(_) | Failure::Claims(_) | Failure::Receiver(_) => {
                "script error or limit, missing required claim, wrong type, an answer that its receiver would refuse"
            }
            Failure::Deadline => "the deadline is spent",
            Failure::Overload => "too many requests at once, or to one provider",
            Failure::RequestTooLarge
            | Failure::TooManyHeaders
            | Failure::NoRule
            | Failure::Method
            | Failure::Unreadable => "no such rule; another method; body too large; too many headers",
            Failure::Panic => "a fault of the program",
            Failure::TurnedAway(T::Network | T::Certificate | T::Key) => "`access` does not let whoever asks in",
            Failure::TurnedAway(T::ClientRate(_) | T::TokenRate(_) | T::Throttled(_)) => {
                "an address or a token asks too often, or too much that came from an address was refused"
            }
            Failure::Hidden(failure) => failure.row(),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Failure::Token(failure) => token_remedy(*failure).into(),
            Failure::Unverified(failure) => unverified(failure).into(),
            Failure::Call(failure) => failure.cause.remedy(&failure.call),
            Failure::Require(require::Failure::Denied(..)) => {
                "the rule refuses this user by its `[[require]]`: log in as one that it lets pass, or change `that`"
                    .into()
            }
            Failure::Script(script::Failure::Denied(..)) => {
                "the script called `reject`: log in as a user that it lets pass, or change the script".into()
            }
            Failure::Require(require::Failure::Value(failure)) | Failure::Script(script::Failure::Value(failure)) => {
                expression(failure).into()
            }
            Failure::Claims(failure) => claim(failure),
            Failure::Receiver(failure) => format!(
                "change the claim `{}` so that {} takes it, or take it away; the judgement above says what it reads",
                failure.claim, failure.receiver
            ),
            Failure::Deadline => {
                "see which call takes long; give it a `timeout` and make it `optional`, or raise `deadline`".into()
            }
            Failure::Overload => "try again; raise `max_requests` if it happens often".into(),
            Failure::RequestTooLarge => "send less".into(),
            Failure::NoRule => "check the name in the address".into(),
            Failure::Method => "use GET or POST".into(),
            Failure::Unreadable => "try again".into(),
            Failure::TooManyHeaders => "send fewer headers, or raise `max_request_headers`".into(),
            Failure::Panic => "report it, with the line that the log has about it".into(),
            Failure::TurnedAway(T::Network) => "ask from an address in `access.networks`".into(),
            Failure::TurnedAway(T::Certificate) => "show a certificate with a name in `access.client_names`".into(),
            Failure::TurnedAway(T::Key) => "send the key of `access.key`".into(),
            Failure::TurnedAway(T::ClientRate(seconds) | T::TokenRate(seconds) | T::Throttled(seconds)) => {
                format!("try again in {seconds} s")
            }
            Failure::Hidden(failure) => failure.remedy(),
        }
    }
}

fn token_remedy(failure: token::Failure) -> &'static str {
    match failure {
        token::Failure::Missing => "send the access token as `Authorization: Bearer …`",
        token::Failure::Malformed => "check what was copied: a token has no spaces, quotes or commas",
        token::Failure::Twice => "send the token in one place",
        token::Failure::InQuery => "send the token in the header Authorization",
        token::Failure::Bound => "have the provider issue a plain bearer token for this client",
    }
}

fn unverified(failure: &Unverified) -> &'static str {
    match failure {
        Unverified::Token(jose::Failure::Scope) => "ask for the scope when the user logs in",
        Unverified::Token(jose::Failure::Expired) => "get a fresh token",
        Unverified::Token(jose::Failure::Audience | jose::Failure::Issuer | jose::Failure::Claim) => {
            "check `[token]`: issuer, audience and expected claims must be those of your application"
        }
        Unverified::Token(_) => "check that this is the access token, and that `[token]` names its issuer",
        Unverified::Inactive => "get a fresh token: the issuer does not know this one, or has revoked it",
        Unverified::Bound => "have the provider issue a plain bearer token for this client",
        Unverified::OurCredentials(_) => "check the secrets that `[token].introspect.auth` names",
        Unverified::RateLimited(_) => "wait a little, and try again",
        Unverified::Unreachable(_) | Unverified::Timeout => {
            "check the address in `[token]`, and that it can be reached from here"
        }
    }
}

fn expression(failure: &value::Failure) -> &'static str {
    match failure {
        value::Failure::Path { .. } => "write the path another way, or compare with a text",
        value::Failure::Script { .. } => {
            "correct the expression at that line; `claimsmith functions` explains functions"
        }
        value::Failure::Rejected { .. } => "call `reject` in `[script]` alone",
        value::Failure::Unfit { .. } => "select a text or a number there",
    }
}

fn claim(failure: &claims::Failure) -> String {
    let name = &failure.claim;
    match &failure.cause {
        claims::Cause::Missing => format!(
            "the answer has nothing where `{name}` looks: `--record` writes it down; correct the path, or give it another as a chain"
        ),
        claims::Cause::NoSubject => format!("let `{name}` read the one id of the user that is always there"),
        claims::Cause::Type(_) => {
            format!("give `{name}` another path or `type`, `many = true` for a list, `flatten = \"_\"` for an object")
        }
        claims::Cause::Value(failure) => expression(failure).into(),
    }
}

impl Cause {
    fn row(&self) -> &'static str {
        match self {
            Cause::Unauthorized | Cause::Forbidden => "the provider answers 401, or 403, to the caller's token",
            Cause::OwnToken(TokenFault::RateLimited(_) | TokenFault::Fetch(FetchError::Spared(Spare::Limited(_))))
            | Cause::RateLimited(_)
            | Cause::Fetch(FetchError::Spared(Spare::Limited(_))) => {
                "the provider answers 429, or asked to be spared by this caller for a while"
            }
            Cause::OwnToken(TokenFault::Fetch(FetchError::Spared(Spare::Busy)))
            | Cause::Fetch(FetchError::Spared(Spare::Busy)) => "too many requests at once, or to one provider",
            Cause::OwnToken(TokenFault::Fetch(FetchError::Timeout)) | Cause::Fetch(FetchError::Timeout) => {
                "the deadline is spent"
            }
            Cause::OwnToken(TokenFault::Fetch(FetchError::Barred(_))) | Cause::Fetch(FetchError::Barred(_)) => {
                "an address that calls may not reach: it is not public, and `upstream.allow` does not name it"
            }
            Cause::OurCredentials(_) | Cause::OwnToken(_) | Cause::Fetch(FetchError::Refused(_)) => {
                "the provider refuses our own credentials, or gives us no token"
            }
            Cause::Denied(..) => "`require`, `fail_when`, `reject`",
            Cause::Incomplete(_) | Cause::Value(_) => {
                "script error or limit, missing required claim, wrong type, an answer that its receiver would refuse"
            }
            Cause::Status(_)
            | Cause::Fetch(_)
            | Cause::Body(_)
            | Cause::Redirect(_)
            | Cause::List(_)
            | Cause::Graphql => {
                "the provider answers 5xx, no JSON, too much, nothing; or did so several times in a row, and is left alone"
            }
        }
    }

    fn remedy(&self, call: &str) -> String {
        match self {
            Cause::Unauthorized => format!(
                "get a fresh token of this provider; if it is fresh, check how [call.{call}] sends it: `token = …`"
            ),
            Cause::Forbidden => format!("ask for the scope that [call.{call}] needs when the user logs in"),
            Cause::OwnToken(TokenFault::Fetch(error @ FetchError::Barred(_))) => fetch(error, call),
            Cause::OurCredentials(_) | Cause::OwnToken(_) => {
                format!("check the secrets that [call.{call}] uses, and where its `auth` puts them")
            }
            Cause::RateLimited(_) => "wait a little, and try again".into(),
            Cause::Status(status) if status.is_server_error() => {
                format!("try again; `retry = 1` in [call.{call}] repeats it, `optional = true` goes on without it")
            }
            Cause::Status(status) => format!(
                "check address, query and headers of [call.{call}]; if {} is fine, say so: `expect = [200, {}]`",
                status.as_u16(),
                status.as_u16()
            ),
            Cause::Fetch(error) => fetch(error, call),
            Cause::Body(_) => format!("see what it answers; `decode = \"…\"` in [call.{call}] names its format"),
            Cause::Redirect(_) => {
                format!("let [call.{call}] name the address that it leads to, or follow it: `redirect = 1`")
            }
            Cause::List(_) => format!("raise `max_pages` or `each.max` in [call.{call}], or name a claim: `truncated`"),
            Cause::Graphql => {
                format!("read its `errors`; `fail_when` in [call.{call}] can tell a bad token from other errors")
            }
            Cause::Incomplete(_) => {
                format!("make [call.{call}] depend on the value: `when = \"… != ()\"`, or `optional = true`")
            }
            Cause::Value(failure) => expression(failure).into(),
            Cause::Denied(..) => {
                format!("the answer is an error by a `fail_when` of [call.{call}]: see what the provider says")
            }
        }
    }
}

fn fetch(error: &FetchError, call: &str) -> String {
    match error {
        FetchError::Timeout => format!("raise `timeout` of [call.{call}], or the setting `deadline`"),
        FetchError::Connect(_) => {
            "check host and port, and that they can be reached from here; `upstream.roots` adds private authorities"
                .into()
        }
        FetchError::TooLarge(_) => "ask for less, or raise the setting `upstream.max_body`".into(),
        FetchError::Refused(_) => format!("check the certificate and the key in `auth.mtls` of [call.{call}]"),
        FetchError::Broken(_) => format!("try again; `retry = 1` in [call.{call}] repeats it"),
        FetchError::Barred(_) => {
            "if it is meant to be reached, name its origin or network in the setting `upstream.allow`".into()
        }
        FetchError::Spared(Spare::Resting) => {
            "look at the failures before this one: it is tried again by itself".into()
        }
        FetchError::Spared(Spare::Limited(_)) => "wait a little, and try again".into(),
        FetchError::Spared(Spare::Busy) => {
            "raise the setting `upstream.max_per_origin`, if the provider bears it".into()
        }
    }
}
