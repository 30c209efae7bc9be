//! `[token]`: what the caller's token must be before any call runs.
//!
//! It closes the hole of the confused deputy: a provider answers every token that it issued, also one that another
//! application got from its user.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use super::{Token, client_credentials, credentials};
use crate::core::{
    host::Host,
    jose::{self, Expectation},
    keyring::{self, Verifier},
    message::{FetchError, Outgoing, Spare},
    problem::{Code, Problems, Source},
    rule::{self, Introspect, Rule, Text},
    value::{Known, Position, Spot, Template, endpoint},
};

/// Bytes of an answer about a token: all of it is kept.
const MAX_ANSWER: usize = 64 * 1024;

/// The compiled check.
#[derive(Debug)]
pub enum Check {
    /// A JWT is verified here.
    Jwt(Box<Verifier>),
    /// The issuer is asked (RFC 7662).
    Introspect(Box<Introspection>),
}

/// Everything of an introspection request that does not depend on the token.
#[derive(Debug)]
pub struct Introspection {
    request: Outgoing,
    hint: Option<String>,
    expectation: Expectation,
}

/// Why the token does not pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Unverified {
    /// It is not what it must be.
    Token(jose::Failure),
    /// The issuer says that it is not active, or was issued for a key that its sender must prove.
    Inactive,
    /// It is bound to its sender (RFC 7800), which the introspection endpoint tells.
    Bound,
    /// The issuer refused our own credentials.
    OurCredentials(StatusCode),
    /// The issuer wants fewer requests. After so many seconds, if it says.
    RateLimited(Option<u64>),
    /// Its keys or its introspection endpoint cannot be had.
    Unreachable(String),
    /// No answer in time.
    Timeout,
}

impl Unverified {
    /// What happened, for logs: nothing of the token.
    pub fn words(&self) -> String {
        match self {
            Unverified::Token(failure) => failure.words().into(),
            Unverified::Inactive => "the issuer says that it is not active".into(),
            Unverified::Bound => "it is bound to its sender".into(),
            Unverified::OurCredentials(status) => {
                format!("the issuer refused our own credentials ({})", status.as_u16())
            }
            Unverified::RateLimited(_) => "it cannot be verified: the issuer limits the rate of requests".into(),
            Unverified::Unreachable(why) => format!("it cannot be verified: {why}"),
            Unverified::Timeout => "it cannot be verified: no answer in time".into(),
        }
    }
}

/// Compiles `[token]`. The outer `None` means a problem, the inner one a rule that leaves it to the upstream, or to
/// a call.
#[expect(clippy::option_option, reason = "said above; every step's compile gives an `Option`")]
pub fn compile(rule: &Rule, known: &Known<'_>, problems: &mut Problems) -> Option<Option<Check>> {
    match &rule.token {
        None | Some(rule::Token::Call(_)) => Some(None),
        Some(rule::Token::Jwt(jwt)) => {
            let verifier = Verifier::compile(&rule.source, jwt, true, known, problems)?;
            Some(Some(Check::Jwt(Box::new(verifier))))
        }
        Some(rule::Token::Introspect(written)) => {
            let introspection = introspection(&rule.source, written, known, problems)?;
            Some(Some(Check::Introspect(Box::new(introspection))))
        }
    }
}

fn introspection(
    source: &Arc<Source>,
    written: &Introspect,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Introspection> {
    let spot = Spot::text(source, &written.url);
    let url = endpoint(&spot, &written.url.value, "this", "write `https://issuer/introspect`", known, problems);
    let mut fixed = |text: &Text, position: Position| {
        let spot = Spot::text(source, text);
        let fixed = Template::compile_fixed(&spot, &text.value, position, "this", known, problems)?;
        Some(fixed.value)
    };
    let authorization = match (&written.bearer, &written.basic) {
        (Some(bearer), _) => fixed(bearer, Position::Header).and_then(|bearer| credentials("Bearer", &bearer)),
        (None, Some((user, password))) => {
            let user = fixed(user, Position::Raw);
            let pair = user.zip(fixed(password, Position::Raw));
            pair.and_then(|(user, password)| client_credentials(&user, &password))
        }
        (None, None) => None,
    };
    let mut claims = Vec::new();
    for (key, text) in &written.expect {
        claims.push((key.name.clone(), fixed(text, Position::Raw)?));
    }
    let url = url?;
    if written.expect.is_empty() {
        let place = rule::place(source, &written.span);
        let problem =
            crate::core::problem::Problem::new(Code::MissingKey, place, "it is not said for whom the token must be");
        let help =
            "write `expect = { client_id = \"…\" }` (or `aud`): a token that another application got must not pass";
        problems.add(problem.label("it is needed here").help(help));
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let user_agent = concat!("claimsmith/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(user_agent));
    headers.insert(header::AUTHORIZATION, authorization?);
    let request =
        Outgoing { method: Method::POST, url, headers, body: Bytes::new(), timeout: None, identity: None, number: 0 };
    let expectation = Expectation {
        algorithms: Vec::new(),
        issuer: Vec::new(),
        audience: Vec::new(),
        kind: None,
        expires: false,
        leeway: Duration::from_secs(60),
        claims,
    };
    Some(Introspection { request, hint: written.hint.as_ref().map(|hint| hint.value.clone()), expectation })
}

impl Check {
    /// Who is asked about a token, if anybody is: where the keys are, or the introspection endpoint.
    pub fn endpoint(&self) -> Option<&Url> {
        match self {
            Check::Jwt(verifier) => verifier.key_set(),
            Check::Introspect(introspection) => Some(&introspection.request.url),
        }
    }

    /// What is done, in words, and how long it may take; `None` where the deadline alone ends it.
    pub fn outline(&self) -> (&'static str, Option<Duration>) {
        match self {
            Check::Jwt(verifier) => ("verified here with the issuer's keys", Some(verifier.longest())),
            Check::Introspect(introspection) => ("verified by asking the issuer", introspection.request.timeout),
        }
    }

    /// Verifies the token, and gives what is known of it.
    ///
    /// # Errors
    /// When it is not what it must be, or that cannot be found out.
    pub async fn run<H: Host>(&self, token: &Token, host: &H) -> Result<Map<String, Value>, Unverified> {
        match self {
            Check::Jwt(verifier) => verifier.verify(token.value(), host).await.map_err(|failure| match failure {
                keyring::Failure::Token(failure) => Unverified::Token(failure),
                keyring::Failure::Keys(why) => Unverified::Unreachable(format!("the issuer's keys: {why}")),
            }),
            Check::Introspect(introspection) => introspection.ask(token, host).await,
        }
    }
}

impl Introspection {
    fn form(&self, token: &Token) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token.value());
        form.extend_pairs(self.hint.as_ref().map(|hint| ("token_type_hint", hint)));
        form.finish()
    }

    async fn ask<H: Host>(&self, token: &Token, host: &H) -> Result<Map<String, Value>, Unverified> {
        let request = Outgoing { body: self.form(token).into(), ..self.request.clone() };
        let unreachable = |why: &str| Unverified::Unreachable(format!("the introspection endpoint: {why}"));
        let answer = host.fetch(request).await.map_err(|error| match error {
            FetchError::Timeout => Unverified::Timeout,
            FetchError::Spared(Spare::Limited(seconds)) => Unverified::RateLimited(Some(seconds)),
            other => unreachable(&other.words()),
        })?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Unverified::OurCredentials(answer.status)),
            StatusCode::TOO_MANY_REQUESTS => {
                let after = answer.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
                return Err(Unverified::RateLimited(after));
            }
            status if !status.is_success() => return Err(unreachable(&format!("it answers {}", status.as_u16()))),
            _ => {}
        }
        if answer.body.len() > MAX_ANSWER {
            return Err(unreachable("its answer is too large"));
        }
        let members: Map<String, Value> =
            serde_json::from_slice(&answer.body).map_err(|_| unreachable("its answer is no JSON object"))?;
        if members.get("active") != Some(&Value::Bool(true)) {
            return Err(Unverified::Inactive);
        }
        if members.get("cnf").is_some_and(|cnf| !cnf.is_null()) {
            return Err(Unverified::Bound);
        }
        self.expectation.check(&members, H::now()).map_err(Unverified::Token)?;
        Ok(members)
    }
}
