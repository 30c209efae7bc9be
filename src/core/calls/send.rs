//! One call on its way: its request put together, sent, and led on by redirects.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::{
    Cause, Round,
    auth::{OwnToken, bearer},
    cache::{Came, Got, Pending},
    decode::Decoder,
    fault, judge,
    plan::{Address, Call, TokenPlan},
    retry::Retry,
    told::Told,
};
use crate::core::{
    facts::{Facts, Kept, Shape},
    freshness::Freshness,
    host::Host,
    message::{Answer, FetchError, Outgoing},
    store::Entry,
    token::{Token, credentials, expiry},
    value::{Credentials, Failure, Memory},
};

/// A request as people may see it: credentials are replaced by their names. Empty if nobody looks on.
pub(super) type Shown = Vec<String>;

/// A request that is ready to be sent.
pub(super) struct Ready {
    pub(super) outgoing: Outgoing,
    pub(super) shown: Shown,
}

/// What comes back.
pub(super) struct Returned {
    /// The call's number, and which of its requests this was.
    pub(super) of: (usize, usize),
    /// What a trace is told of it.
    pub(super) told: Told,
    /// The answer, if there is a whole one.
    pub(super) answer: Option<Answer>,
    /// What is kept of it, if it is fine.
    pub(super) kept: Result<Kept, Cause>,
    pub(super) came: Came,
    /// How long it may be used again, if somebody wants to know.
    pub(super) again: Freshness,
    /// What is to be done once it is known whether it is fine.
    pub(super) pending: Option<Box<Pending>>,
}

/// Puts the request of a call together.
pub(super) fn prepare<H>(
    call: &Call,
    facts: &Facts<'_>,
    memory: &mut Memory,
    round: &Round<'_, H>,
) -> Result<Ready, Cause> {
    let url = address(call, facts, memory, round.token)?;
    let mut headers = call.fixed_headers.clone();
    let own = Some(Credentials { token: round.token.value() });
    for (name, text) in &call.headers {
        if let Some(text_value) = text.render(facts, memory, own).map_err(Cause::Value)? {
            let mut value = HeaderValue::from_bytes(text_value.as_bytes()).map_err(|_| unfit_header())?;
            value.set_sensitive(text.is_secret());
            headers.insert(name.clone(), value);
        }
    }
    let token = match &call.token {
        TokenPlan::Bearer => round.token.as_bearer().map(|value| (header::AUTHORIZATION, value)),
        TokenPlan::AsReceived => round.token.as_received().map(|value| (header::AUTHORIZATION, value)),
        TokenPlan::Scheme(scheme) => {
            credentials(scheme, round.token.value()).map(|value| (header::AUTHORIZATION, value))
        }
        TokenPlan::Header(name) => credentials("", round.token.value()).map(|value| (name.clone(), value)),
        TokenPlan::Elsewhere | TokenPlan::Query(_) | TokenPlan::Form(_) => None,
    };
    headers.extend(token);
    let field = match &call.token {
        TokenPlan::Form(name) => Some(name.as_str()),
        _ => None,
    };
    let body = call.body.render(facts, memory, round.token, field).map_err(Cause::Value)?.into();
    let shown = match round.trace {
        Some(trace) if trace.is_discreet() => vec![as_written(call)],
        Some(_) => show(call, facts, memory).map_err(Cause::Value)?,
        None => Shown::new(),
    };
    let outgoing = Outgoing {
        method: call.method.clone(),
        url,
        headers,
        body,
        timeout: call.timeout,
        identity: call.identity.clone(),
        number: 0,
    };
    Ok(Ready { outgoing, shown })
}

fn unfit_header() -> Cause {
    Cause::Value(Failure::Unfit { place: "a header value", why: "it has a control character" })
}

/// The whole address. Its origin is the rule's: a value can only fill the place that it stands in.
fn address(call: &Call, facts: &Facts<'_>, memory: &mut Memory, token: &Token) -> Result<Url, Cause> {
    let own = Some(Credentials { token: token.value() });
    let mut url = match &call.address {
        Address::Fixed(url, _) => url.clone(),
        Address::Template(text, start) => {
            let whole = text.render(facts, memory, own).map_err(Cause::Value)?;
            let whole = whole.ok_or_else(|| Cause::Incomplete("`url`".into()))?;
            parse(&whole, start)
                .ok_or(Cause::Value(Failure::Unfit { place: "the address", why: "it would change the path" }))?
        }
    };
    let mut query = url.query().unwrap_or_default().to_owned();
    let mut append = |name: &str, value: &str| {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        query.push_str(value);
    };
    for (name, text) in &call.query {
        if let Some(value) = text.render(facts, memory, own).map_err(Cause::Value)? {
            append(name, &value);
        }
    }
    if let TokenPlan::Query(name) = &call.token {
        append(name, &url::form_urlencoded::byte_serialize(token.value().as_bytes()).collect::<String>());
    }
    if !query.is_empty() && url.query() != Some(&query) {
        url.set_query(Some(&query));
    }
    Ok(url)
}

/// Parses an address, and makes sure that parsing changed nothing: no dot segment went away, the
/// origin is the one that the rule was loaded with.
fn parse(text: &str, fixed: &Url) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let path = text.split_once("://")?.1;
    let path = path.find('/').map_or("/", |at| &path[at..]);
    let path = path.split(['?', '#']).next()?;
    (url.origin() == fixed.origin() && url.path() == path && url.fragment().is_none()).then_some(url)
}

/// Method and address as the rule has them, without a query: what fills the places is somebody's.
fn as_written(call: &Call) -> String {
    let address = match &call.address {
        Address::Fixed(_, shown) => shown,
        Address::Template(text, _) => text.text(),
    };
    let more = if call.query.is_empty() && !address.contains('?') { "" } else { "?…" };
    format!("{} {}{more}", call.method, address.split('?').next().unwrap_or_default())
}

fn show(call: &Call, facts: &Facts<'_>, memory: &mut Memory) -> Result<Shown, Failure> {
    let mut line = match &call.address {
        Address::Fixed(_, shown) => shown.clone(),
        Address::Template(text, _) => text.show(facts, memory)?.unwrap_or_default(),
    };
    let mut mark = if line.contains('?') { '&' } else { '?' };
    for (name, text) in &call.query {
        if let Some(value) = text.show(facts, memory)? {
            line.push_str(&format!("{mark}{name}={value}"));
            mark = '&';
        }
    }
    if let TokenPlan::Query(name) = &call.token {
        line.push_str(&format!("{mark}{name}=[token]"));
    }
    let mut shown = vec![format!("{} {line}", call.method)];
    shown.extend_from_slice(&call.fixed_shown);
    for (name, text) in &call.headers {
        if let Some(value) = text.show(facts, memory)? {
            shown.push(format!("{name}: {value}"));
        }
    }
    match &call.token {
        TokenPlan::Bearer => shown.push("authorization: Bearer [token]".into()),
        TokenPlan::AsReceived => shown.push("authorization: [as received]".into()),
        TokenPlan::Scheme(scheme) => shown.push(format!("authorization: {scheme} [token]").replace(":  ", ": ")),
        TokenPlan::Header(name) => shown.push(format!("{name}: [token]")),
        TokenPlan::Form(name) => shown.push(format!("form field {name}: [token]")),
        TokenPlan::Elsewhere | TokenPlan::Query(_) => {}
    }
    Ok(shown)
}

/// Sends a request, and reads what comes back.
pub(super) async fn send<H: Host>(call: &Call, of: (usize, usize), ready: Ready, round: &Round<'_, H>) -> Returned {
    let Ready { mut outgoing, shown } = ready;
    let mut told = Told::new(shown);
    told.depart(call, of.1, round);
    outgoing.number = told.number();
    let (Got { answer, came, pending }, kept) = match round.patience(call) {
        None => reach(call, outgoing, round, &mut told).await,
        Some(limit) => {
            let reached = round.host.within(limit, Box::pin(reach(call, outgoing, round, &mut told))).await;
            reached.unwrap_or_else(|| (Got::asked(Err(Cause::Fetch(FetchError::Timeout))), None))
        }
    };
    let (answer, kept) = match (answer, kept) {
        (Ok(answer), Some(kept)) => (Some(answer), kept),
        (Ok(_), None) => (None, Err(Cause::Fetch(FetchError::Timeout))),
        (Err(cause), _) => (None, Err(cause)),
    };
    told.arrive(round);
    let again = match (&answer, &kept) {
        (Some(answer), Ok(kept)) if call.watched || pending.is_some() => again(call, answer, kept, came, H::now()),
        _ => Freshness::UNBOUND,
    };
    Returned { of, told, answer, kept, came, again, pending }
}

/// Gets an answer, and reads it if there is one.
async fn reach<H: Host>(
    call: &Call,
    outgoing: Outgoing,
    round: &Round<'_, H>,
    told: &mut Told,
) -> (Got, Option<Result<Kept, Cause>>) {
    let got = match &call.cache {
        None => Got::asked(exchange(call, outgoing, round, told).await),
        Some(cache) => Box::pin(cache.get(call, outgoing, round, told)).await,
    };
    let began = Told::clock(round);
    let kept = match &got.answer {
        Ok(answer) => Some(receive(call, answer, round.host).await),
        Err(_) => None,
    };
    told.read(began.filter(|_| kept.is_some()), round);
    (got, kept)
}

/// How long an answer may be used again: as it says itself, and as the claims of a JWT say that it is.
fn again(call: &Call, answer: &Answer, kept: &Kept, came: Came, now: Duration) -> Freshness {
    let own = match came {
        Came::Stale => Freshness::NONE,
        Came::Kept(until) => Freshness { fresh: until.saturating_sub(now), ..Freshness::of(answer, now) },
        Came::Asked | Came::Missed | Came::Shared => Freshness::of(answer, now),
    };
    match (&call.decoder, kept) {
        (Decoder::Jwt(_), Kept::Whole(Value::Object(claims))) => {
            expiry(claims).map_or(own, |end| own.and(Freshness::until(end, now)))
        }
        _ => own,
    }
}

/// The answer of the upstream to one request.
pub(super) async fn exchange<H: Host>(
    call: &Call,
    outgoing: Outgoing,
    round: &Round<'_, H>,
    told: &mut Told,
) -> Result<Answer, Cause> {
    match &call.own_token {
        None => travel(call, outgoing, round, told).await,
        Some(own) => travel_as_us(call, own, outgoing, round, told).await,
    }
}

/// Judges and reads an answer. One page or one of many answers is kept whole: what is read of the list says
/// nothing of them.
async fn receive<H: Host>(call: &Call, answer: &Answer, host: &H) -> Result<Kept, Cause> {
    judge(call, answer)?;
    let shape = if call.is_one_request() { &call.shape } else { &Shape::Whole };
    let read = call.decoder.read(shape, answer, host).await;
    // An error that the call expects need not have its format: then the status is all that there is to it.
    read.map_err(|cause| match answer.status.as_u16() {
        401 | 403 | 429 => fault(call, answer),
        _ => cause,
    })
}

/// Sends a request with a token of our own, and once more with another one if that is refused.
async fn travel_as_us<H: Host>(
    call: &Call,
    own: &OwnToken,
    outgoing: Outgoing,
    round: &Round<'_, H>,
    told: &mut Told,
) -> Result<Answer, Cause> {
    let with = |entry: &Entry, mut outgoing: Outgoing| {
        outgoing.headers.extend(bearer(entry).map(|value| (header::AUTHORIZATION, value)));
        outgoing
    };
    let began = Told::clock(round);
    let entry = own.get(&call.name, round).await.map_err(Cause::OwnToken);
    told.did("our own token", began, || said(&entry), round);
    let entry = entry?;
    let answer = travel(call, with(&entry, outgoing.clone()), round, told).await?;
    if answer.status != StatusCode::UNAUTHORIZED || call.expect.contains(&answer.status.as_u16()) {
        return Ok(answer);
    }
    let began = Told::clock(round);
    let other = own.exchange(&call.name, round, &entry).await.map_err(Cause::OwnToken);
    told.did("another token of our own", began, || said(&other), round);
    match other? {
        Some(entry) => travel(call, with(&entry, outgoing), round, told).await,
        None => Ok(answer),
    }
}

/// Whether a token of our own is there, in words.
fn said<T>(token: &Result<T, Cause>) -> String {
    token.as_ref().map_or_else(Cause::words, |_| "there".into())
}

/// Sends a request, and the requests that redirects make of it.
async fn travel<H: Host>(
    call: &Call,
    mut outgoing: Outgoing,
    round: &Round<'_, H>,
    told: &mut Told,
) -> Result<Answer, Cause> {
    let mut hops = 0;
    let mut left = false;
    loop {
        // Nothing of the request is needed afterwards unless a redirect may lead it on.
        let sent = (call.redirects.max > 0).then(|| outgoing.clone());
        let what = if hops == 0 { "request" } else { "redirect" };
        let fetched = match &call.retry {
            None => {
                let began = Told::clock(round);
                let fetched = round.host.fetch(outgoing).await;
                told.exchanged(what, began, &fetched, round);
                fetched
            }
            Some(retry) => persist(retry, outgoing, round, what, told).await,
        };
        let answer = match fetched {
            Ok(answer) => answer,
            Err(error) => return Err(Cause::Fetch(error)),
        };
        let next = match &sent {
            Some(sent) => call.redirects.next(hops, sent, &answer),
            None => Ok(None),
        };
        match next {
            Ok(Some(next)) => {
                left |= sent.is_some_and(|sent| sent.url.origin() != next.url.origin());
                outgoing = next;
            }
            // It got no credentials, so it refused neither the caller's nor ours.
            Ok(None) if left && matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Cause::Redirect("it led to another origin, which wants credentials"));
            }
            Ok(None) => return Ok(answer),
            Err(cause) => return Err(cause),
        }
        hops += 1;
    }
}

/// Sends a request until it has an answer that no repetition would better, or the call's time is up.
async fn persist<H: Host>(
    retry: &Retry,
    outgoing: Outgoing,
    round: &Round<'_, H>,
    what: &'static str,
    told: &mut Told,
) -> Result<Answer, FetchError> {
    let started = H::clock();
    let mut attempts = 0;
    loop {
        let spent = H::clock().saturating_sub(started);
        let timeout = outgoing.timeout.map(|timeout| timeout.saturating_sub(spent));
        let began = Told::clock(round);
        let outcome = round.host.fetch(Outgoing { timeout, ..outgoing.clone() }).await;
        told.exchanged(if attempts == 0 { what } else { "repeated" }, began, &outcome, round);
        attempts += 1;
        let spent = H::clock().saturating_sub(started);
        match retry.wait(attempts, &outcome) {
            Some(wait)
                if outgoing.timeout.is_none_or(|timeout| spent + wait < timeout)
                    && round.host.may_repeat(&outgoing.url) =>
            {
                round.host.pause(wait).await;
            }
            _ => return outcome,
        }
        // The host may have waited longer; an attempt without any time would only hide what this one said.
        if outgoing.timeout.is_some_and(|timeout| H::clock().saturating_sub(started) >= timeout) {
            return outcome;
        }
    }
}
