//! `[call.NAME]` as written.

use serde_json::Value;
use toml::{Spanned, de::DeValue};

use super::{
    auth::{self, Auth, Scheme},
    decode::{self, Decode},
    text::{DENIAL_HELP, Fields, Key, Reader, Text},
};
use crate::core::problem::Span;

/// One call as written.
#[derive(Debug)]
pub struct Call {
    /// Its name: the member of the document that holds its answer.
    pub name: Key,
    /// The method; `GET`, or `POST` with a body, without one.
    pub method: Option<Text>,
    /// The address, with `${…}`.
    pub url: Text,
    /// Query parameters, with `${…}`.
    pub query: Vec<(Key, Text)>,
    /// Headers, with `${…}`.
    pub headers: Vec<(Key, Text)>,
    /// The body.
    pub body: Option<Body>,
    /// How the caller's token travels.
    pub token: Option<TokenPlace>,
    /// Our own credentials.
    pub auth: Option<Auth>,
    /// How its answers are read; by their Content-Type without it.
    pub decode: Option<Decode>,
    /// A failure gives null and the answer goes on.
    pub optional: bool,
    /// A Rhai expression; false skips the call.
    pub when: Option<Text>,
    /// Status codes that are fine; 2xx without any.
    pub expect: Vec<u16>,
    /// Errors inside an answer whose status is fine.
    pub fail_when: Vec<FailWhen>,
    /// The limit of this call, such as `"2s"`.
    pub timeout: Option<Text>,
    /// How many redirects are followed, and where to.
    pub redirect: Redirect,
}

/// A request body as written.
#[derive(Debug)]
pub enum Body {
    /// `json`: any TOML value with `${…}` in its strings.
    Json(JsonBody),
    /// `form`: `application/x-www-form-urlencoded`.
    Form(Vec<(Key, Text)>),
    /// `body`: text as it is; its Content-Type stands in `headers`.
    Raw(Text),
}

/// A JSON body as written.
#[derive(Debug)]
pub enum JsonBody {
    /// A string with `${…}`.
    Text(Text),
    /// A number or boolean.
    Constant(Value),
    /// An array.
    Array(Vec<JsonBody>),
    /// An object.
    Object(Vec<(Key, JsonBody)>),
}

/// Where the caller's token is put.
#[derive(Debug)]
pub enum TokenPlace {
    /// `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
    Bearer,
    /// Nowhere.
    None,
    /// `Authorization: SCHEME TOKEN`.
    Scheme(Text),
    /// A header of its own.
    Header(Text),
    /// `Authorization: TOKEN`.
    Bare,
    /// A query parameter.
    Query(Text),
    /// A form field.
    Form(Text),
    /// A member of the JSON body.
    Json(Text),
    /// The `Authorization` header as it was received.
    AsReceived,
}

/// One row of `fail_when`.
#[derive(Debug)]
pub struct FailWhen {
    /// A Rhai expression over the answer.
    pub when: Text,
    /// The error code to answer.
    pub error: Text,
    /// What the caller is told.
    pub reason: Option<Text>,
}

/// `redirect`.
#[derive(Debug, Default)]
pub struct Redirect {
    /// How many are followed.
    pub max: u8,
    /// Other origins that may be led to; they get no credentials.
    pub origins: Vec<Text>,
}

const KEYS: [&str; 16] = [
    "method",
    "url",
    "query",
    "headers",
    "json",
    "form",
    "body",
    "token",
    "auth",
    "decode",
    "optional",
    "when",
    "expect",
    "fail_when",
    "timeout",
    "redirect",
];

/// The calls that could be read, and the names of those that could not.
pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> (Vec<Call>, Vec<String>) {
    let mut calls = Vec::new();
    let mut unread = Vec::new();
    let Some(table) = reader.table(fields, "call", "[call]") else { return (calls, unread) };
    for (key, value) in table.entries() {
        reader.variable_name(&key, "a call");
        let name = key.name.clone();
        let fields = reader.as_table(value, &format!("[call.{name}]"));
        match fields.and_then(|fields| call(reader, key, &fields)) {
            Some(call) => calls.push(call),
            None => unread.push(name),
        }
    }
    (calls, unread)
}

fn call(reader: &mut Reader<'_>, name: Key, fields: &Fields<'_>) -> Option<Call> {
    reader.known(fields, &KEYS);
    let url = reader.required_text(fields, "url", "say where to send it: `url = \"https://…\"`");
    let call = Call {
        name,
        method: reader.text(fields, "method"),
        url: url.clone().unwrap_or(Text { value: String::new(), span: fields.span() }),
        query: pairs(reader, fields, "query"),
        headers: pairs(reader, fields, "headers"),
        body: body(reader, fields),
        token: token(reader, fields),
        auth: auth::read(reader, fields),
        decode: decode::read(reader, fields),
        optional: reader.flag(fields, "optional"),
        when: reader.text(fields, "when"),
        expect: expect(reader, fields),
        fail_when: fail_when(reader, fields),
        timeout: reader.text(fields, "timeout"),
        redirect: redirect(reader, fields),
    };
    url.map(|_| call)
}

/// A table of strings; numbers and booleans are written as they stand.
fn pairs(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<(Key, Text)> {
    let Some(table) = reader.table(fields, key, key) else { return Vec::new() };
    let mut pairs = Vec::new();
    for (name, value) in table.entries() {
        let text = match value.get_ref() {
            DeValue::Boolean(flag) => Some(Text { value: flag.to_string(), span: value.span() }),
            DeValue::Integer(_) | DeValue::Float(_) => {
                reader.json(value).map(|number| Text { value: number.to_string(), span: value.span() })
            }
            _ => reader.as_text(value, &format!("{key}.{}", name.name)),
        };
        pairs.extend(text.map(|text| (name, text)));
    }
    pairs
}

fn body(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Body> {
    let bodies = ["json", "form", "body"].iter().filter(|key| fields.has(key)).count();
    if bodies > 1 {
        reader.conflict(fields, "`json`, `form` and `body` exclude one another");
        return None;
    }
    if let Some(json) = fields.get("json") {
        return json_body(reader, json).map(Body::Json);
    }
    if fields.has("form") {
        return Some(Body::Form(pairs(reader, fields, "form")));
    }
    reader.text(fields, "body").map(Body::Raw)
}

fn json_body(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<JsonBody> {
    Some(match value.get_ref() {
        DeValue::String(text) => JsonBody::Text(Text { value: text.to_string(), span: value.span() }),
        DeValue::Array(items) => JsonBody::Array(items.iter().filter_map(|item| json_body(reader, item)).collect()),
        DeValue::Table(_) => {
            let table = reader.as_table(value, "json")?;
            let members = table.entries();
            JsonBody::Object(
                members.into_iter().filter_map(|(key, value)| Some((key, json_body(reader, value)?))).collect(),
            )
        }
        _ => JsonBody::Constant(reader.json(value)?),
    })
}

const TOKEN_HELP: &str = "one of `\"bearer\"`, `\"none\"`, `\"bare\"`, `\"as-received\"`, `{ scheme = … }`, \
    `{ header = … }`, `{ query = … }`, `{ form = … }`, `{ json = … }`";

fn token(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<TokenPlace> {
    let value = fields.get("token")?;
    if let DeValue::String(text) = value.get_ref() {
        return match text.as_ref() {
            "bearer" => Some(TokenPlace::Bearer),
            "none" => Some(TokenPlace::None),
            "bare" => Some(TokenPlace::Bare),
            "as-received" => Some(TokenPlace::AsReceived),
            other => {
                let message = format!("not a way to send a token: `{other}`");
                reader.bad_value(value.span(), message, "unknown", TOKEN_HELP);
                None
            }
        };
    }
    let table = reader.as_table(value, "token")?;
    one_of(reader, &table, TOKEN_HELP, &["scheme", "header", "query", "form", "json"]).map(|(kind, text)| match kind {
        "scheme" => TokenPlace::Scheme(text),
        "header" => TokenPlace::Header(text),
        "query" => TokenPlace::Query(text),
        "form" => TokenPlace::Form(text),
        _ => TokenPlace::Json(text),
    })
}

/// The one key of a table that names an alternative, with its text.
fn one_of<'k>(reader: &mut Reader<'_>, table: &Fields<'_>, help: &str, kinds: &[&'k str]) -> Option<(&'k str, Text)> {
    let sound = reader.known(table, kinds);
    let mut found = kinds.iter().filter(|kind| table.has(kind));
    match (found.next(), found.next()) {
        (Some(kind), None) => return reader.text(table, kind).map(|text| (*kind, text)),
        (Some(_), Some(_)) => {
            reader.bad_value(table.span(), "exactly one way is wanted here", "several are named", help);
        }
        (None, _) if sound => reader.bad_value(table.span(), "exactly one way is wanted here", "none is named", help),
        (None, _) => {}
    }
    None
}

fn expect(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<u16> {
    let Some(value) = fields.get("expect") else { return Vec::new() };
    let items: Vec<_> = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    let mut codes = Vec::new();
    for item in items {
        let Some(code) = reader.integer(item, "expect") else { continue };
        match u16::try_from(code) {
            Ok(code) if (200..600).contains(&code) => codes.push(code),
            _ => reader.bad_value(
                item.span(),
                format!("not a status code: `{code}`"),
                "out of range",
                "final status codes are 200 to 599",
            ),
        }
    }
    codes
}

fn fail_when(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<FailWhen> {
    let mut rows = Vec::new();
    for table in reader.tables(fields, "fail_when", "fail_when") {
        reader.known(&table, &["when", "error", "reason"]);
        let when = reader.required_text(
            &table,
            "when",
            "add `when = \"…\"`: the Rhai expression that is true for a failed answer",
        );
        let error = reader.required_text(&table, "error", DENIAL_HELP);
        let reason = reader.text(&table, "reason");
        if let (Some(when), Some(error)) = (when, error) {
            rows.push(FailWhen { when, error, reason });
        }
    }
    rows
}

/// More hops than any provider needs; a loop ends here.
const MAX_REDIRECTS: i64 = 10;

fn redirect(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Redirect {
    let Some(value) = fields.get("redirect") else { return Redirect::default() };
    let max = |reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>| -> u8 {
        let Some(max) = reader.integer(value, "redirect") else { return 0 };
        u8::try_from(max).ok().filter(|_| max <= MAX_REDIRECTS).unwrap_or_else(|| {
            reader.bad_value(
                value.span(),
                format!("not a number of redirects: `{max}`"),
                "out of range",
                format!("0 to {MAX_REDIRECTS} are followed"),
            );
            0
        })
    };
    if matches!(value.get_ref(), DeValue::Integer(_)) {
        return Redirect { max: max(reader, value), origins: Vec::new() };
    }
    let Some(table) = reader.as_table(value, "redirect") else { return Redirect::default() };
    reader.known(&table, &["max", "origins"]);
    match table.get("max") {
        Some(value) => Redirect { max: max(reader, value), origins: reader.texts(&table, "origins") },
        None => {
            reader.missing(&table, "max", "say how many are followed: `max = 1`");
            Redirect::default()
        }
    }
}

impl Call {
    /// The token endpoint of its credentials.
    pub fn token_url(&self) -> Option<&Text> {
        match self.auth.as_ref()?.scheme.as_ref()? {
            Scheme::ClientCredentials(credentials) => Some(&credentials.token_url),
            Scheme::Bearer(_) | Scheme::Basic { .. } => None,
        }
    }

    /// Every text of the call with the place where it stands.
    pub fn span(&self) -> Span {
        self.name.span.clone()
    }
}
