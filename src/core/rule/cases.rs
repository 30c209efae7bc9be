//! `NAME.test.toml` as written: what a rule is to make of recorded answers.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Map, Value};
use toml::{Spanned, de::DeValue};
use url::Url;

use super::{
    text::{Fields, Key, Reader, Text},
    words,
};
use crate::core::problem::{Problems, Source};

/// One case as written.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: Text,
    /// The caller's token.
    pub token: String,
    /// Values for the rule's `[vars]`.
    pub vars: Map<String, Value>,
    /// Values for the rule's `[secrets]`, by their names in the rule.
    pub secrets: Vec<(Key, Text)>,
    /// The time at which it happens, since 1970.
    pub now: Option<Duration>,
    /// The caller's request.
    pub request: Inbound,
    /// What the provider answers.
    pub answers: Vec<Recorded>,
    /// What the rule is to answer.
    pub expected: Expected,
}

impl Case {
    /// A case that says nothing, of a rule that is only looked at.
    pub fn blank(source: &Arc<Source>) -> Case {
        Case {
            name: Text { value: source.name.clone(), span: 0..0 },
            token: String::new(),
            vars: Map::new(),
            secrets: Vec::new(),
            now: None,
            request: Inbound::default(),
            answers: Vec::new(),
            expected: Expected::Claims(Map::new()),
        }
    }
}

/// The caller's request, as far as a case sets it.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// `POST` or, without it, `GET`.
    pub method: Option<Text>,
    /// Headers besides `Authorization`.
    pub headers: Vec<(Key, Text)>,
    /// The query.
    pub query: Vec<(Key, Text)>,
}

/// What the rule is to answer.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Exactly these claims.
    Claims(Map<String, Value>),
    /// An error.
    Error {
        /// The status code.
        status: u16,
        /// The error code; any, or none, without one.
        error: Option<Text>,
    },
}

/// One recorded answer.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method of the request; `GET` without one.
    pub method: Option<Text>,
    /// The whole address of the request.
    pub url: Url,
    /// What the request has to look like besides.
    pub expect: Asked,
    /// What comes back.
    pub reply: Reply,
}

/// What a request has to look like.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Headers with their values; none for one that must not be there.
    pub headers: Vec<(Key, Option<Text>)>,
    /// The body.
    pub body: Option<Sent>,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Sent {
    /// A JSON value.
    Json(Value),
    /// The fields of a form.
    Form(Vec<(Key, Text)>),
    /// Text, letter for letter.
    Text(Text),
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An answer.
    Answer {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: Vec<(Key, Text)>,
        /// Its body.
        body: Content,
    },
    /// No answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// The connection breaks.
    Broken,
}

/// A body.
#[derive(Clone, Debug)]
pub enum Content {
    /// As it is written.
    Text(String),
    /// The bytes of a file beside the cases.
    File(Text),
}

/// Reads a file of cases. Gives what could be understood, and adds all that could not to `problems`.
pub fn read_cases(source: &Arc<Source>, problems: &mut Problems) -> Vec<Case> {
    let most = super::MAX_SOURCE;
    let bound = format!("a file of cases has at most {most} bytes; long answers can stand in files: `file = …`");
    let Some(table) = super::toml(source, &bound, problems) else { return Vec::new() };
    let mut reader = Reader::new(source, problems);
    let whole = Fields::new("the file", table.get_ref(), 0..source.text.len().min(1));
    reader.known(&whole, &words::CASES);
    let cases = reader.tables(&whole, "case", "[[case]]");
    cases.iter().filter_map(|fields| case(&mut reader, fields)).collect()
}

fn case(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Case> {
    reader.known(fields, &words::CASE);
    let name = reader.required_text(fields, "name", "say what it shows: `name = \"a private e-mail is found\"`");
    let token = reader.text(fields, "token").map_or_else(|| "t0ken".to_owned(), |text| text.value);
    let vars = fields.get("vars").and_then(|vars| object(reader, vars, "vars")).unwrap_or_default();
    let secrets = texts(reader, fields, "secrets");
    let now = fields.get("now").and_then(|now| time(reader, now));
    let request = inbound(reader, fields);
    let answers = reader.tables(fields, "answer", "[[case.answer]]");
    let answers: Vec<_> = answers.iter().filter_map(|answer| recorded(reader, answer)).collect();
    let expected = expected(reader, fields);
    Some(Case { name: name?, token, vars, secrets, now, request, answers, expected: expected? })
}

fn expected(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Expected> {
    match (fields.get("claims"), fields.get("error")) {
        (Some(_), Some(_)) => {
            reader.conflict(fields, "`claims` and `error` exclude each other");
            None
        }
        (Some(claims), None) => object(reader, claims, "claims").map(Expected::Claims),
        (None, Some(error)) => {
            let error = reader.as_table(error, "error")?;
            reader.known(&error, &words::ERROR);
            let status = error.get("status").and_then(|status| self::status(reader, status));
            if !error.has("status") {
                reader.missing(&error, "status", "say which: `error = { status = 401, error = \"invalid_token\" }`");
            }
            let error = reader.text(&error, "error");
            Some(Expected::Error { status: status?.as_u16(), error })
        }
        (None, None) => {
            let help =
                "write what comes out: `[case.claims]`, or `error = { status = 401, error = \"invalid_token\" }`";
            reader.missing(fields, "claims", help);
            None
        }
    }
}

fn inbound(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Inbound {
    let Some(request) = reader.table(fields, "request", "request") else { return Inbound::default() };
    reader.known(&request, &words::INBOUND);
    let method = reader.text(&request, "method");
    Inbound { method, headers: texts(reader, &request, "headers"), query: texts(reader, &request, "query") }
}

fn recorded(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Recorded> {
    reader.known(fields, &words::ANSWER);
    let url = reader.required_text(fields, "url", "the whole address of the request, with its query")?;
    let Ok(parsed) = Url::parse(&url.value) else {
        reader.bad_value(url.span, "not a URL", "no whole address", "write `https://host/path?query`");
        return None;
    };
    let method = reader.text(fields, "method");
    let expect = asked(reader, fields);
    let reply = reply(reader, fields);
    Some(Recorded { method, url: parsed, expect, reply: reply? })
}

fn reply(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Reply> {
    if let Some(fail) = fields.get("fail") {
        if ["status", "headers", "json", "body", "file"].iter().any(|key| fields.has(key)) {
            reader.conflict(fields, "`fail` means that there is no answer");
            return None;
        }
        let fail = reader.as_text(fail, "fail")?;
        return match &*fail.value {
            "timeout" => Some(Reply::Timeout),
            "connect" => Some(Reply::Connect),
            "broken" => Some(Reply::Broken),
            other => {
                let message = format!("not a way to fail: `{other}`");
                reader.bad_value(fail.span, message, "unknown", "`timeout`, `connect` or `broken`");
                None
            }
        };
    }
    let status = match fields.get("status") {
        Some(status) => self::status(reader, status)?,
        None => StatusCode::OK,
    };
    let headers = texts(reader, fields, "headers");
    if ["json", "body", "file"].iter().filter(|key| fields.has(key)).count() > 1 {
        reader.conflict(fields, "`json`, `body` and `file` exclude one another");
        return None;
    }
    let body = if let Some(json) = reader.text(fields, "json") {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&json.value) {
            let label = format!("line {} column {} of it", error.line(), error.column());
            reader.bad_value(json.span, "this is not JSON", &label, "write it as `body` if that is what comes back");
            return None;
        }
        Content::Text(json.value)
    } else if let Some(file) = reader.text(fields, "file") {
        Content::File(file)
    } else {
        Content::Text(reader.text(fields, "body").map(|body| body.value).unwrap_or_default())
    };
    Some(Reply::Answer { status, headers, body })
}

fn asked(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Asked {
    let Some(expect) = reader.table(fields, "expect", "expect") else { return Asked::default() };
    reader.known(&expect, &words::ASKED);
    let mut headers = Vec::new();
    if let Some(table) = reader.table(&expect, "headers", "expect.headers") {
        for (key, value) in table.entries() {
            match value.get_ref() {
                DeValue::Boolean(false) => headers.push((key, None)),
                _ => headers.extend(reader.as_text(value, &key.name).map(|text| (key, Some(text)))),
            }
        }
    }
    if ["json", "form", "body"].iter().filter(|key| expect.has(key)).count() > 1 {
        reader.conflict(&expect, "`json`, `form` and `body` exclude one another");
    }
    let body = if let Some(json) = expect.get("json") {
        json_or_text(reader, json).map(Sent::Json)
    } else if expect.has("form") {
        Some(Sent::Form(texts(reader, &expect, "form")))
    } else {
        reader.text(&expect, "body").map(Sent::Text)
    };
    Asked { headers, body }
}

/// A table, or a text that is a JSON object: there numbers may have any length.
fn object(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>, what: &str) -> Option<Map<String, Value>> {
    match (value.get_ref(), json_or_text(reader, value)?) {
        (_, Value::Object(members)) => Some(members),
        _ => {
            reader.wrong_type(what, value, "a table, or a text that is a JSON object");
            None
        }
    }
}

fn json_or_text(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let DeValue::String(text) = value.get_ref() else { return reader.json(value) };
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let label = format!("line {} column {} of it", error.line(), error.column());
            reader.bad_value(value.span(), "this is not JSON", &label, "write JSON, or a table");
            None
        }
    }
}

fn texts(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<(Key, Text)> {
    let Some(table) = reader.table(fields, key, key) else { return Vec::new() };
    let entries = table.entries().into_iter();
    entries.filter_map(|(name, value)| Some((name, reader.as_text(value, key)?))).collect()
}

fn status(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<StatusCode> {
    let number = reader.integer(value, "status")?;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    let status = status.filter(|status| status.as_u16() >= 200);
    if status.is_none() {
        let message = format!("not a status code: `{number}`");
        reader.bad_value(value.span(), message, "out of range", "final status codes are 200 to 599");
    }
    status
}

fn time(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        _ => {
            reader.wrong_type("now", value, "a time, like `2026-01-31T12:00:00Z`");
            return None;
        }
    };
    let since = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok());
    if since.is_none() {
        reader.bad_value(value.span(), format!("not a time: `{text}`"), "not RFC 3339", "write `2026-01-31T12:00:00Z`");
    }
    since.map(Duration::from_secs)
}
