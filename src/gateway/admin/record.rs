//! `/record`: a recording is armed, asked for, and taken back.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::{json, page, text};
use crate::{
    config::parse_duration,
    gateway::{
        Shared,
        recording::{LONGEST, Refused, State, Wanted},
    },
};

const USAGE: &str = "name a rule, as in `/record?rule=acme`; to arm it there are also `status=401`, `failures=true`, \
    `request=ID` and `for=5m`, at most 10m";

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked<'q> {
    rule: Option<Cow<'q, str>>,
    wanted: Wanted,
    time: Option<Duration>,
}

/// Answers a request for this page.
pub(super) fn answer(shared: &Shared, method: &Method, query: &str) -> Response<Full<Bytes>> {
    if !shared.settings.admin.record {
        return text(StatusCode::FORBIDDEN, "nothing is recorded here: the setting `admin.record` is false");
    }
    let Some(asked) = Asked::read(query) else { return text(StatusCode::BAD_REQUEST, USAGE) };
    match (method, asked.rule.as_deref()) {
        (&Method::POST, Some(rule)) => arm(shared, rule, asked.wanted, asked.time.unwrap_or(LONGEST)),
        (&Method::DELETE, Some(rule)) => match shared.recordings.disarm(rule) {
            true => text(StatusCode::OK, "gone"),
            false => nothing(),
        },
        (&Method::GET, Some(rule)) => show(shared, rule),
        (&Method::GET, None) => json(StatusCode::OK, &shared.recordings.told(None)),
        _ => text(StatusCode::BAD_REQUEST, USAGE),
    }
}

fn arm(shared: &Shared, rule: &str, wanted: Wanted, time: Duration) -> Response<Full<Bytes>> {
    let set = shared.workers.first().map(crate::gateway::serving::Worker::set);
    let served = set.as_ref().and_then(|set| set.find(&format!("/{rule}")));
    let Some(served) = served else { return text(StatusCode::NOT_FOUND, "no rule of this name serves") };
    if served.rule.verifies_signatures() {
        let why = "this rule verifies its tokens by their signature: a case has a made-up token, which nobody has \
            signed, so that no case can be made of its logins";
        return text(StatusCode::UNPROCESSABLE_ENTITY, why);
    }
    match shared.recordings.arm(rule, wanted, time) {
        Ok(()) => {
            tracing::info!(rule, "a recording is armed");
            json(StatusCode::CREATED, &told(shared, rule))
        }
        Err(Refused::Already) => text(StatusCode::CONFLICT, "a recording of this rule is armed: DELETE it first"),
        Err(Refused::TooMany) => text(StatusCode::CONFLICT, "there are as many recordings as there may be"),
    }
}

fn show(shared: &Shared, rule: &str) -> Response<Full<Bytes>> {
    match shared.recordings.state(rule) {
        None => nothing(),
        Some(State::Armed | State::Writing) => json(StatusCode::ACCEPTED, &told(shared, rule)),
        Some(State::Written(case)) => page(StatusCode::OK, "application/toml", case),
        Some(State::Failed(why)) => {
            text(StatusCode::UNPROCESSABLE_ENTITY, &format!("no case could be made of the request that came: {why}"))
        }
    }
}

fn told(shared: &Shared, rule: &str) -> Value {
    shared.recordings.told(Some(rule)).get_mut(0).map(Value::take).unwrap_or_default()
}

fn nothing() -> Response<Full<Bytes>> {
    text(StatusCode::NOT_FOUND, "no recording of this rule is armed, or its time is over")
}

impl<'q> Asked<'q> {
    fn read(query: &'q str) -> Option<Self> {
        let mut asked = Asked::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "rule" => asked.rule = Some(value),
                "status" => {
                    asked.wanted.status = Some(value.parse().ok().filter(|status| (200..600).contains(status))?);
                }
                "failures" => asked.wanted.failures = value.parse().ok()?,
                "request" => asked.wanted.request = Some(value.into_owned()).filter(|id| id.len() <= 128),
                "for" => {
                    let time = parse_duration(&value).filter(|time| !time.is_zero() && *time <= LONGEST)?;
                    asked.time = Some(time);
                }
                _ => return None,
            }
        }
        Some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_whole_or_not_at_all() {
        let asked = Asked::read("rule=acme&status=401&failures=true&request=a%2Fb&for=90s");
        let wanted = Wanted { failures: true, status: Some(401), request: Some("a/b".into()) };
        let time = Some(Duration::from_secs(90));
        assert_eq!(asked, Some(Asked { rule: Some("acme".into()), wanted, time }));
        assert_eq!(Asked::read(""), Some(Asked::default()));
        for query in ["status=99", "status=abc", "failures=yes", "for=11m", "for=0s", "for=-1s", "for=x", "rules=acme"]
        {
            assert_eq!(Asked::read(query), None, "{query}");
        }
    }
}
