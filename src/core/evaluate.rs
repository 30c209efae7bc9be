//! The flow of one request.

mod cached;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    calls::{self, Summary},
    compile::CompiledRule,
    facts::{Facts, Root},
    freshness::Freshness,
    host::Host,
    message::{Request, Response},
    receiver::{self, Errors},
    response::{self, Failure},
    token::{self, Token},
    trace::{Stage, Step, Trace},
    value::Memory,
};

/// How requests are received; the host's settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    /// A token in the query is accepted (RFC 6750, section 2.3, advises against it).
    pub query_token: bool,
    /// When the answer has to be there, by the host's clock: optional calls are given up in time for that.
    pub until: Option<Duration>,
}

/// An answer, and what the log says of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer.
    pub response: Response,
    /// Why there are no claims.
    pub failure: Option<Failure>,
    /// What the calls came to.
    pub calls: Summary,
}

/// Answers a request from the rule at its path, if there is one; the steps are noted if somebody looks on.
pub async fn answer<H: Host>(
    rule: Option<&CompiledRule>,
    request: &Request,
    request_id: &str,
    reception: Reception,
    host: &H,
    trace: Option<&Trace>,
) -> Outcome {
    let method = request.method();
    let Some(rule) = rule else { return refuse(None, Failure::NoRule, request_id) };
    if method == http::Method::OPTIONS {
        return Outcome { response: response::options(), failure: None, calls: Summary::default() };
    }
    if ![http::Method::GET, http::Method::HEAD, http::Method::POST].contains(method) {
        return refuse(Some(rule), Failure::Method, request_id);
    }
    evaluate(rule, request, request_id, reception, host, trace).await
}

/// Answers a request from one rule; the steps are noted if somebody looks on.
pub async fn evaluate<H: Host>(
    rule: &CompiledRule,
    request: &Request,
    request_id: &str,
    reception: Reception,
    host: &H,
    trace: Option<&Trace>,
) -> Outcome {
    let mut calls = Summary::default();
    let began = if trace.is_some() { H::clock() } else { Duration::ZERO };
    if let Some(trace) = trace {
        trace.begin(began);
        trace.enter(Stage::Receive, Duration::ZERO);
        rule.secrets.iter().for_each(|(name, secret)| trace.hide(&format!("secrets.{name}"), secret.expose()));
    }
    let outcome = match steps(rule, request, reception, host, trace, began, &mut calls).await {
        Ok(response) => Outcome { response, failure: None, calls },
        Err(failure) => {
            // A provider may have made a name of somebody's data: it is for those alone who see all of an answer.
            let for_all = trace.is_none_or(Trace::is_for_all);
            let failure = if for_all { failure.without_names(|claim| rule.names(claim)) } else { failure };
            tell(trace, || Step::Failed { stage: failure.stage(), words: failure.words() });
            Outcome { calls, ..refuse(Some(rule), failure, request_id) }
        }
    };
    enter::<H>(trace, Stage::Respond, began);
    let (status, bytes) = (outcome.response.status().as_u16(), outcome.response.body().len());
    tell(trace, || Step::Respond { status, bytes });
    outcome
}

async fn steps<H: Host>(
    rule: &CompiledRule,
    request: &Request,
    reception: Reception,
    host: &H,
    trace: Option<&Trace>,
    began: Duration,
    calls: &mut Summary,
) -> Result<Response, Failure> {
    let token = Token::receive(request, reception.query_token)?;
    if let Some(trace) = trace {
        trace.hide("token", token.value());
    }
    let work = Work { rule, request, token, host, trace, began, until: reception.until };
    match rule.cache {
        None => work.run(calls).await,
        Some(lifetimes) => cached::answer(lifetimes, work, calls).await,
    }
}

/// Everything that an answer is made of.
struct Work<'a, H> {
    rule: &'a CompiledRule,
    request: &'a Request,
    token: Token,
    host: &'a H,
    trace: Option<&'a Trace>,
    /// When the evaluation began, for the trace.
    began: Duration,
    /// When the answer has to be there.
    until: Option<Duration>,
}

impl<H: Host> Work<'_, H> {
    async fn run(&self, calls: &mut Summary) -> Result<Response, Failure> {
        let Work { rule, request: _, token, host, trace, began, until } = self;
        let (host, trace, began, until) = (*host, *trace, *began, *until);
        let mut facts = Facts::new(rule.calls.shapes(), &rule.vars, self.describe());
        let mut memory = Memory::default();
        if let Some(check) = &rule.token {
            let claims = check.run(token, host).await?;
            if let Some(end) = token::expiry(&claims).filter(|_| rule.cache.is_some()) {
                calls.again = calls.again.and(Freshness::until(end, H::now()));
            }
            facts.verified(claims);
        }
        tell(trace, || received(rule, token, H::clock().saturating_sub(began)));
        let round = calls::Round { token, host, trace, began, until };
        leave::<H>(trace, began);
        let ran = calls::run(&rule.calls, &mut facts, &mut memory, &round, calls).await;
        if let Some(trace) = trace {
            trace.show(|| document(rule, &facts));
        }
        ran?;
        enter::<H>(trace.filter(|_| !rule.require.is_empty()), Stage::Require, began);
        rule.require.run(&facts, &mut memory, trace)?;
        enter::<H>(trace, Stage::Map, began);
        let mut claims = rule.claims.run(&facts, &mut memory, trace)?;
        if let Some(script) = &rule.script {
            enter::<H>(trace, Stage::Script, began);
            script.watch(&facts, &mut memory, &claims, trace);
            let changed = script.run(&facts, &mut memory, &claims)?;
            let after = rule.claims.reread(&claims, changed)?;
            script.tell(trace, &claims, &after);
            claims = after;
        }
        rule.claims.identify(&claims)?;
        let Some(receiver) = &rule.receiver else { return Ok(response::claims(&claims)) };
        enter::<H>(trace, Stage::Contract, began);
        receiver.keep(&mut claims, trace)?;
        let response = response::claims(&claims);
        receiver.weigh(&claims, response.body().len())?;
        Ok(response)
    }
}

impl<H> Work<'_, H> {
    /// `request` in the document, if the rule reads it.
    fn describe(&self) -> Value {
        describe(self.rule, self.request)
    }
}

/// The document as people see it: of calls what there is an answer of.
fn document(rule: &CompiledRule, facts: &Facts<'_>) -> Value {
    let calls = rule.calls.names().enumerate().map(|(number, name)| (name, Root::Call(number)));
    let others = [("token", Root::Token), ("request", Root::Request), ("vars", Root::Vars), ("meta", Root::Meta)];
    let parts = calls.chain(others).filter_map(|(name, root)| Some((name.to_owned(), facts.get(root)?.whole()?)));
    parts.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, value.clone())).collect()
}

fn tell(trace: Option<&Trace>, step: impl FnOnce() -> Step) {
    if let Some(trace) = trace {
        trace.add(step());
    }
}

/// The evaluation comes to a step.
fn enter<H: Host>(trace: Option<&Trace>, stage: Stage, began: Duration) {
    if let Some(trace) = trace {
        trace.enter(stage, H::clock().saturating_sub(began));
    }
}

/// The evaluation ends a step, and begins none: calls tell of themselves.
fn leave<H: Host>(trace: Option<&Trace>, began: Duration) {
    if let Some(trace) = trace {
        trace.leave(H::clock().saturating_sub(began));
    }
}

fn received(rule: &CompiledRule, token: &Token, took: Duration) -> Step {
    let verified = if rule.token.is_some() { ", and is what the rule asks for" } else { "" };
    let words = format!("{}{verified}", token.words());
    Step::Receive { words, time: rule.token.is_some().then_some((Duration::ZERO, took)) }
}

/// `request` in the document, if the rule reads it.
fn describe(rule: &CompiledRule, request: &Request) -> Value {
    if !rule.reads_request {
        return Value::Null;
    }
    let headers: Map<String, Value> = rule
        .headers
        .iter()
        .filter_map(|name| Some((name.to_string(), Value::from(request.headers().get(name)?.to_str().ok()?))))
        .collect();
    let sent = request.uri().query().unwrap_or_default();
    let query: Map<String, Value> = url::form_urlencoded::parse(sent.as_bytes())
        .filter(|(name, _)| name != "access_token" && rule.query.iter().any(|listed| listed == name))
        .map(|(name, value)| (name.into_owned(), Value::from(value)))
        .collect();
    json!({ "method": request.method().as_str(), "rule": rule.name(), "headers": headers, "query": query })
}

/// A failure as the receiver of the rule's answers is told of it. Without a rule it is not known who that is, and
/// may be one that takes a body for a profile: a mistyped address must not log anybody in.
pub fn refuse(rule: Option<&CompiledRule>, failure: Failure, request_id: &str) -> Outcome {
    let of_rule = |rule: &CompiledRule| rule.contract().map_or(Errors::Json, receiver::Contract::errors);
    let errors = rule.map_or(Errors::Empty, of_rule);
    Outcome { response: failure.response(request_id, errors), failure: Some(failure), calls: Summary::default() }
}

impl From<token::Failure> for Failure {
    fn from(failure: token::Failure) -> Self {
        Failure::Token(failure)
    }
}

impl From<token::Unverified> for Failure {
    fn from(failure: token::Unverified) -> Self {
        Failure::Unverified(failure)
    }
}

impl From<calls::Failure> for Failure {
    fn from(failure: calls::Failure) -> Self {
        Failure::Call(failure)
    }
}

impl From<super::require::Failure> for Failure {
    fn from(failure: super::require::Failure) -> Self {
        Failure::Require(failure)
    }
}

impl From<super::claims::Failure> for Failure {
    fn from(failure: super::claims::Failure) -> Self {
        Failure::Claims(failure)
    }
}

impl From<receiver::Failure> for Failure {
    fn from(failure: receiver::Failure) -> Self {
        Failure::Receiver(failure)
    }
}

impl From<super::script::Failure> for Failure {
    fn from(failure: super::script::Failure) -> Self {
        Failure::Script(failure)
    }
}
