//! `/traces`: the last requests, as JSON or for people.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use super::{json, page, text};
use crate::gateway::{
    Shared,
    traces::{Wanted, as_text},
};

/// Answers a request for this page.
pub(super) fn answer(shared: &Shared, headers: &HeaderMap, query: &str) -> Response<Full<Bytes>> {
    if !shared.traces.are_kept() {
        return text(StatusCode::FORBIDDEN, "no traces are kept here: the setting `admin.traces` is 0");
    }
    let Some(wanted) = read(query) else {
        return text(StatusCode::BAD_REQUEST, "there are `rule=NAME`, `request=ID` and `failures=true`");
    };
    let traces = shared.traces.told(&wanted);
    match prefers_text(headers) {
        true => page(StatusCode::OK, "text/plain; charset=utf-8", as_text(&traces)),
        false => json(StatusCode::OK, &Value::Array(traces)),
    }
}

fn prefers_text(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/plain"))
}

fn read(query: &str) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "rule" => wanted.rule = Some(value.into_owned()),
            "request" => wanted.request = Some(value.into_owned()),
            "failures" => wanted.failures = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(wanted)
}
