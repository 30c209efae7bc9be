//! A case as text: TOML for people, who will read and change it.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Map, Value};

use super::{
    recorder::Exchange,
    redact::{Credentials, USUAL_TOKEN, usual_secret},
};
use crate::core::{
    evaluate::Outcome,
    message::{Answer, FetchError, Outgoing, Request},
};

/// Everything that a case says.
pub(super) struct Case<'a> {
    pub(super) vars: &'a Map<String, Value>,
    pub(super) credentials: &'a Credentials,
    pub(super) request: &'a Request,
    pub(super) exchanges: &'a [Exchange],
    pub(super) outcome: &'a Outcome,
}

/// A longer text is written over several lines.
const LONG: usize = 100;
/// Headers of every request, which say nothing of this one.
const USUAL: [header::HeaderName; 3] = [header::USER_AGENT, header::ACCEPT, header::CONTENT_TYPE];

/// A name that no case has yet.
pub(super) fn name(outcome: &Outcome, existing: &str) -> String {
    let name = match &outcome.failure {
        None => "recorded: a login".to_owned(),
        Some(failure) => {
            let error = failure.error().map(|error| format!(" {error}")).unwrap_or_default();
            format!("recorded: {}{error}", failure.status().as_u16())
        }
    };
    let is_free = |name: &String| !existing.contains(&format!("\"{name}\""));
    let numbered = (2..).map(|number| format!("{name}, {number}"));
    std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
}

impl Case<'_> {
    /// The text of the case, with its name.
    pub(super) fn text(&self, name: &str) -> String {
        let mut lines = vec!["[[case]]".to_owned(), format!("name = {}", quoted(name))];
        if self.credentials.token != USUAL_TOKEN {
            lines.push(format!("token = {}", quoted(&self.credentials.token)));
        }
        if !self.vars.is_empty() {
            lines.push(format!("vars = {}", inline(self.vars.iter().map(|(name, value)| (name, toml(value))))));
        }
        let secrets = self.credentials.secrets.iter().filter(|(name, value)| **value != usual_secret(name));
        let secrets: Vec<_> = secrets.map(|(name, value)| (name, quoted(value))).collect();
        if !secrets.is_empty() {
            lines.push(format!("secrets = {}", inline(secrets.into_iter())));
        }
        lines.extend(self.inbound());
        if let Some(failure) = &self.outcome.failure {
            let error = failure.error().map(|error| format!(", error = {}", quoted(error))).unwrap_or_default();
            lines.push(format!("error = {{ status = {}{error} }}", failure.status().as_u16()));
        }
        for exchange in self.exchanges {
            lines.push(String::new());
            lines.extend(answer(exchange));
        }
        if self.outcome.failure.is_none() {
            lines.push(String::new());
            lines.extend(claims(self.outcome.response.body()));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The caller's request, where it is not the usual one.
    fn inbound(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.request.method() == Method::POST {
            parts.push(("method", quoted("POST")));
        }
        let usual = format!("Bearer {}", self.credentials.token);
        let headers =
            self.request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers: Vec<_> = headers.filter(|(name, value)| *name != "authorization" || *value != usual).collect();
        if !headers.is_empty() {
            parts.push(("headers", inline(headers.into_iter().map(|(name, value)| (name, quoted(value))))));
        }
        let query = url::form_urlencoded::parse(self.request.uri().query().unwrap_or_default().as_bytes());
        let query: BTreeMap<_, _> = query.map(|(name, value)| (name.into_owned(), quoted(&value))).collect();
        if !query.is_empty() {
            parts.push(("query", inline(query.into_iter())));
        }
        (!parts.is_empty()).then(|| format!("request = {}", inline(parts.into_iter())))
    }
}

fn answer(exchange: &Exchange) -> Vec<String> {
    let request = &exchange.request;
    let mut lines = vec!["[[case.answer]]".to_owned(), format!("url = {}", quoted(request.url.as_str()))];
    if request.method != Method::GET {
        lines.push(format!("method = {}", quoted(request.method.as_str())));
    }
    lines.extend(expected(request));
    match &exchange.reply {
        Some(Ok(answer)) => lines.extend(reply(answer)),
        Some(Err(FetchError::Timeout)) | None => lines.push("fail = \"timeout\"".into()),
        Some(Err(FetchError::Connect(_) | FetchError::Refused(_) | FetchError::Spared(_) | FetchError::Barred(_))) => {
            lines.push("fail = \"connect\"".into());
        }
        Some(Err(FetchError::Broken(_) | FetchError::TooLarge(_))) => lines.push("fail = \"broken\"".into()),
    }
    lines
}

/// What the request has to look like.
fn expected(request: &Outgoing) -> Option<String> {
    let mut parts = Vec::new();
    let headers = headers(&request.headers, |name| !USUAL.iter().any(|usual| usual.as_str() == name));
    if !headers.is_empty() {
        parts.push(("headers", inline(headers.into_iter())));
    }
    let body = String::from_utf8_lossy(&request.body);
    let content_type =
        request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !body.is_empty() {
        parts.push(match (serde_json::from_str::<Value>(&body), content_type) {
            (Ok(_), _) => ("json", literal(&body)),
            (_, "application/x-www-form-urlencoded") => form(&body).unwrap_or_else(|| ("body", literal(&body))),
            _ => ("body", literal(&body)),
        });
    }
    (!parts.is_empty()).then(|| format!("expect = {}", inline(parts.into_iter())))
}

/// The fields of a form; `None` if one comes twice.
fn form(body: &str) -> Option<(&'static str, String)> {
    let mut fields = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
        if fields.insert(name.into_owned(), quoted(&value)).is_some() {
            return None;
        }
    }
    Some(("form", inline(fields.into_iter())))
}

fn reply(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    if answer.status != StatusCode::OK {
        lines.push(format!("status = {}", answer.status.as_u16()));
    }
    let headers = headers(&answer.headers, |_| true);
    if !headers.is_empty() {
        lines.push(format!("headers = {}", inline(headers.into_iter())));
    }
    let body = String::from_utf8_lossy(&answer.body);
    match serde_json::from_str::<Value>(&body) {
        Ok(_) if body.len() <= LONG => lines.push(format!("json = {}", literal(&body))),
        Ok(value) => lines.push(format!("json = {}", literal(&format!("{value:#}\n")))),
        Err(_) if body.is_empty() => {}
        Err(_) => lines.push(format!("body = {}", literal(&body))),
    }
    lines
}

/// Headers with their values; of several with one name the first.
fn headers(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let names = headers.keys().filter(|name| wanted(name.as_str()));
    names.filter_map(|name| Some((name.to_string(), quoted(headers.get(name)?.to_str().ok()?)))).collect()
}

/// The claims as a table; as JSON if TOML cannot hold one of their numbers.
fn claims(body: &[u8]) -> Vec<String> {
    let claims: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    if !claims.values().all(fits) {
        return vec![format!("claims = {}", literal(&Value::Object(claims).to_string()))];
    }
    let lines = claims.iter().map(|(name, value)| format!("{} = {}", key(name), toml(value)));
    std::iter::once("[case.claims]".to_owned()).chain(lines).collect()
}

/// TOML has integers of 64 bits and floats, and what it reads must be what was written.
fn fits(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.as_i64().is_some_and(|integer| integer.to_string() == number.as_str()),
        Value::Array(items) => items.iter().all(fits),
        Value::Object(members) => members.values().all(fits),
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Null => quoted(""),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => inline(members.iter().map(|(name, value)| (name, toml(value)))),
    }
}

fn inline<K: AsRef<str>>(members: impl Iterator<Item = (K, String)>) -> String {
    let members: Vec<_> = members.map(|(name, value)| format!("{} = {value}", key(name.as_ref()))).collect();
    format!("{{ {} }}", members.join(", "))
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A text that has quotes in it, as it is where that can be.
fn literal(text: &str) -> String {
    let plain = |c: char| !c.is_control() || c == '\n';
    if !text.chars().all(plain) || text.contains("'''") || text.ends_with('\'') {
        return quoted(text);
    }
    match text.contains(['\n', '\'']) {
        true => format!("'''\n{text}'''"),
        false => format!("'{text}'"),
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut made = String::with_capacity(text.len() + 2);
    made.push('"');
    for c in text.chars() {
        match c {
            '"' => made.push_str("\\\""),
            '\\' => made.push_str("\\\\"),
            '\n' => made.push_str("\\n"),
            '\r' => made.push_str("\\r"),
            '\t' => made.push_str("\\t"),
            c if c.is_control() => made.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => made.push(c),
        }
    }
    made.push('"');
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for text in ["", "a", "it's", "'''", "a\nb", "\n", "\"\\", "\u{7f}\u{1}é\t\r\n", "{\"a\": 'b'}", "x'", "\u{85}"]
        {
            for written in [quoted(text), literal(text)] {
                let line = format!("x = {written}\n");
                let table: toml::Table = line.parse().unwrap_or_else(|error| panic!("{error} in {line}"));
                assert_eq!(table["x"].as_str(), Some(text), "{line}");
            }
        }
    }
}
