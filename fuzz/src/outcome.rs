//! What holds for every answer of ours.

use bytes::Bytes;
use claimsmith::core::{CompiledRule, Outcome, Reception, Request, Step, Trace, evaluate};
use http::header;
use serde_json::Value;

use super::world::{SECRET, TOKEN, World, at_once};

/// What the failure table has, and 200.
const STATUSES: [u16; 12] = [200, 400, 401, 403, 404, 405, 413, 431, 500, 502, 503, 504];

/// A request for the rule, as an auth server makes it.
pub fn request() -> Request {
    let request = http::Request::get("/fuzz?lang=en").header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    request.header(header::ACCEPT_LANGUAGE, "en").body(Bytes::new()).expect("a sound request")
}

/// Evaluates a rule, with somebody looking on. `mark_free` tells that neither token nor secret stands in the input.
pub fn run(rule: &CompiledRule, world: &World<'_>, mark_free: bool) -> Outcome {
    let trace = Trace::default();
    let outcome = at_once(evaluate(rule, &request(), "id", Reception::default(), world, Some(&trace)));
    check(rule, &outcome);
    if mark_free {
        no_mark(&outcome);
        for step in trace.steps() {
            let shown = shown(&step);
            assert!(!shown.contains(TOKEN) && !shown.contains(SECRET), "a trace tells a credential: {shown}");
        }
    }
    outcome
}

/// What people are shown of a step. Its own words, where it has any, and all that it holds.
fn shown(step: &Step) -> String {
    format!("{step:?}")
}

/// It is a row of the failure table, or claims.
pub fn check(rule: &CompiledRule, outcome: &Outcome) {
    let response = &outcome.response;
    let status = response.status().as_u16();
    assert!(STATUSES.contains(&status), "no row of the table: {status}");
    assert_eq!(response.headers().get(header::CACHE_CONTROL).map(http::HeaderValue::as_bytes), Some(&b"no-store"[..]));
    assert_eq!(outcome.failure.is_none(), status == 200, "{:?}", outcome.failure);
    if let Some(failure) = &outcome.failure {
        assert!(!failure.words().is_empty());
        return error(response);
    }
    let claims: Value = serde_json::from_slice(response.body()).expect("claims are JSON");
    let claims = claims.as_object().expect("claims are an object");
    let subject = claims.get(rule.subject()).expect("somebody is named");
    assert!(names_somebody(subject), "{subject}");
    for (name, value) in claims {
        let flat = match value {
            Value::Array(items) => items.iter().all(Value::is_string),
            Value::Object(members) => name == "address" && members.values().all(is_scalar),
            value => is_scalar(value),
        };
        assert!(flat, "the answer is flat: {name} = {value}");
    }
}

/// The body of an error says no more than it should.
fn error(response: &http::Response<Bytes>) {
    if response.body().is_empty() {
        return;
    }
    let body: Value = serde_json::from_slice(response.body()).expect("an error is JSON");
    let members = body.as_object().expect("an error is an object");
    for (name, value) in members {
        assert!(["error", "error_description", "request_id"].contains(&name.as_str()), "{body}");
        assert!(value.is_string(), "{body}");
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

fn names_somebody(subject: &Value) -> bool {
    match subject {
        Value::String(text) => {
            let word = text.trim().to_lowercase();
            !word.is_empty() && !["null", "undefined", "none", "nil", "nan", "0"].contains(&word.as_str())
        }
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => false,
    }
}

/// Neither the token nor a secret is told, outside or in the log.
pub fn no_mark(outcome: &Outcome) {
    let response = &outcome.response;
    let mut told = String::from_utf8_lossy(response.body()).into_owned();
    for value in response.headers().values() {
        told += &String::from_utf8_lossy(value.as_bytes());
    }
    told += &outcome.failure.as_ref().map(claimsmith::core::Failure::words).unwrap_or_default();
    assert!(!told.contains(TOKEN) && !told.contains(SECRET), "a credential is told: {told}");
}

/// True if neither token nor secret stands in the input itself.
pub fn is_mark_free(input: &str) -> bool {
    !input.contains("m4rked-")
}
