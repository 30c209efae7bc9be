//! `[call.NAME]` as written.

use serde_json::Value;
use toml::{Spanned, de::DeValue};

use super::{
    auth::{self, Auth, Scheme},
    cache::{self, Cache},
    decode::{self, Decode},
    text::{DENIAL_HELP, Fields, Key, Reader, Text},
    words,
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
    /// The values that the call is made for, one by one.
    pub each: Option<Each>,
    /// How the pages of a list follow one another.
    pub paginate: Option<Paginate>,
    /// How often a failed attempt is repeated.
    pub retry: Option<Retry>,
    /// How long its answers are used again.
    pub cache: Option<Cache>,
}

/// `each`.
#[derive(Debug)]
pub struct Each {
    /// A JSONPath that can select several values.
    pub path: Text,
    /// The most values that there may be.
    pub max: usize,
    /// How many calls are on their way at once.
    pub concurrency: usize,
}

/// `paginate`.
#[derive(Debug)]
pub struct Paginate {
    /// What leads from a page to the next.
    pub by: PageBy,
    /// Where the items stand in a page; without it the page itself is the list.
    pub items: Option<Text>,
    /// A Rhai expression that holds for the last page.
    pub until: Option<Text>,
    /// The most pages that are read.
    pub max_pages: usize,
    /// The claim that says that there were more; without it, more fail the call.
    pub truncated: Option<Text>,
}

/// What leads from a page to the next.
#[derive(Debug)]
pub enum PageBy {
    /// The header `Link` with `rel="next"` (RFC 8288).
    Link,
    /// An address in the page.
    Next(Text),
    /// A value in the page, for a query parameter of the next request.
    Cursor {
        /// Where it stands in the page.
        path: Text,
        /// The parameter.
        param: Text,
    },
    /// A number that counts up in a query parameter.
    Number {
        /// The number of the first page.
        first: i64,
        /// The parameter.
        param: Text,
    },
}

/// `retry`.
#[derive(Debug)]
pub struct Retry {
    /// Where it stands.
    pub span: Span,
    /// How often.
    pub times: u8,
    /// Status codes that are worth another attempt; the usual ones if it does not say.
    pub on: Option<Vec<u16>>,
    /// The author says that a repeated request does no harm.
    pub idempotent: bool,
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
    /// `graphql`.
    Graphql {
        /// The document with the operation.
        query: Text,
        /// The values of its variables.
        variables: Option<JsonBody>,
        /// Which operation of the document is meant.
        operation_name: Option<Text>,
    },
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

impl JsonBody {
    fn texts<'b>(&'b self, texts: &mut Vec<&'b Text>) {
        match self {
            JsonBody::Text(text) => texts.push(text),
            JsonBody::Constant(_) => {}
            JsonBody::Array(items) => items.iter().for_each(|item| item.texts(texts)),
            JsonBody::Object(members) => members.iter().for_each(|(_, member)| member.texts(texts)),
        }
    }
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
    reader.known(fields, &words::CALL);
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
        expect: statuses(reader, fields, "expect", &FINAL),
        fail_when: fail_when(reader, fields),
        timeout: reader.text(fields, "timeout"),
        redirect: redirect(reader, fields),
        each: each(reader, fields),
        paginate: paginate(reader, fields),
        retry: retry(reader, fields),
        cache: cache::read(reader, fields),
    };
    // Without its `each`, what reads `${each}` would be wrong as well.
    url.filter(|_| call.each.is_some() || !fields.has("each")).map(|_| call)
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
    let bodies = ["json", "form", "body", "graphql"].iter().filter(|key| fields.has(key)).count();
    if bodies > 1 {
        reader.conflict(fields, "`json`, `form`, `body` and `graphql` exclude one another");
        return None;
    }
    if let Some(json) = fields.get("json") {
        return json_body(reader, json).map(Body::Json);
    }
    if fields.has("form") {
        return Some(Body::Form(pairs(reader, fields, "form")));
    }
    if fields.has("graphql") {
        return graphql(reader, fields);
    }
    reader.text(fields, "body").map(Body::Raw)
}

fn graphql(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Body> {
    if let Some(query) = fields.get("graphql").filter(|value| value.get_ref().is_str()) {
        let query = reader.as_text(query, "graphql")?;
        return Some(Body::Graphql { query, variables: None, operation_name: None });
    }
    let table = reader.table(fields, "graphql", "graphql")?;
    reader.known(&table, &words::GRAPHQL);
    let query = reader.required_text(&table, "query", "write the operation: `query = '''query { viewer { id } }'''`");
    let variables = table.get("variables").and_then(|value| match value.get_ref() {
        DeValue::Table(_) => json_body(reader, value),
        _ => {
            reader.wrong_type("graphql.variables", value, "a table");
            None
        }
    });
    let operation_name = reader.text(&table, "operation_name");
    Some(Body::Graphql { query: query?, variables, operation_name })
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
    let kinds = ["scheme", "header", "query", "form", "json"];
    let sound = reader.known(&table, &words::TOKEN_PLACE);
    let found: Vec<_> = kinds.into_iter().filter(|kind| table.has(kind)).collect();
    let [kind] = found[..] else {
        if !found.is_empty() || sound {
            let label = if found.is_empty() { "none is named" } else { "several are named" };
            reader.bad_value(table.span(), "exactly one way is wanted here", label, TOKEN_HELP);
        }
        return None;
    };
    let text = reader.text(&table, kind)?;
    Some(match kind {
        "scheme" => TokenPlace::Scheme(text),
        "header" => TokenPlace::Header(text),
        "query" => TokenPlace::Query(text),
        "form" => TokenPlace::Form(text),
        _ => TokenPlace::Json(text),
    })
}

/// Status codes that a key can name, and the words about them.
struct Codes {
    holds: fn(i64) -> bool,
    what: &'static str,
    help: &'static str,
}

const FINAL: Codes = Codes {
    holds: |code| (200..600).contains(&code),
    what: "not a status code",
    help: "final status codes are 200 to 599",
};
/// The others say that the same request would be answered in the same way.
const RETRIED: Codes = Codes {
    holds: |code| code == 429 || (500..600).contains(&code),
    what: "not a status that another attempt would change",
    help: "429, and 500 to 599",
};

fn statuses(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, codes: &Codes) -> Vec<u16> {
    let Some(value) = fields.get(key) else { return Vec::new() };
    let items: Vec<_> = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    let mut found = Vec::new();
    for item in items {
        let Some(code) = reader.integer(item, key) else { continue };
        match u16::try_from(code) {
            Ok(status) if (codes.holds)(code) => found.push(status),
            _ => reader.bad_value(item.span(), format!("{}: `{code}`", codes.what), "out of range", codes.help),
        }
    }
    found
}

fn fail_when(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<FailWhen> {
    let mut rows = Vec::new();
    for table in reader.tables(fields, "fail_when", "fail_when") {
        reader.known(&table, &words::FAIL_WHEN);
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
pub(super) const MAX_REDIRECTS: i64 = 10;
/// Values of one `each`, and calls of it at once.
pub(super) const MAX_EACH: (i64, i64) = (100, 1000);
pub(super) const MAX_CONCURRENCY: (i64, i64) = (4, 16);
/// Pages of one list.
pub(super) const MAX_PAGES: (i64, i64) = (20, 1000);
/// More attempts than this only add to what the provider has too much of.
pub(super) const MAX_RETRIES: i64 = 3;
/// The number of a first page.
pub(super) const MAX_PAGE: i64 = 1_000_000;

/// An integer between two bounds; the first of these stands for one that is not there or was reported.
fn bounded(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, least: i64, (default, most): (i64, i64)) -> usize {
    let Some(value) = fields.get(key) else { return usize::try_from(default).unwrap_or(0) };
    let found = reader.integer(value, key);
    if let Some(number) = found.filter(|number| !(least..=most).contains(number)) {
        let message = format!("`{key}` cannot be {number}");
        reader.bad_value(value.span(), message, "out of range", format!("from {least} to {most}"));
    }
    let sound = found.filter(|number| (least..=most).contains(number)).unwrap_or(default);
    usize::try_from(sound).unwrap_or(0)
}

fn redirect(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Redirect {
    let Some(value) = fields.get("redirect") else { return Redirect::default() };
    let (table, origins) = match value.get_ref() {
        DeValue::Integer(_) => (None, Vec::new()),
        _ => {
            let Some(table) = reader.as_table(value, "redirect") else { return Redirect::default() };
            reader.known(&table, &words::REDIRECT);
            if !table.has("max") {
                reader.missing(&table, "max", "say how many are followed: `max = 1`");
            }
            let origins = reader.texts(&table, "origins");
            (Some(table), origins)
        }
    };
    let max = match &table {
        None => bounded(reader, fields, "redirect", 0, (0, MAX_REDIRECTS)),
        Some(table) => bounded(reader, table, "max", 0, (0, MAX_REDIRECTS)),
    };
    Redirect { max: u8::try_from(max).unwrap_or(0), origins }
}

fn each(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Each> {
    let concurrency = bounded(reader, fields, "concurrency", 1, MAX_CONCURRENCY);
    let Some(value) = fields.get("each") else {
        if let Some(value) = fields.get("concurrency") {
            let message = "`concurrency` goes with `each`";
            reader.bad_value(value.span(), message, "there is one call only", "take it away, or add `each`");
        }
        return None;
    };
    if value.get_ref().is_str() {
        let path = reader.as_text(value, "each")?;
        return Some(Each { path, max: usize::try_from(MAX_EACH.0).unwrap_or(0), concurrency });
    }
    let table = reader.as_table(value, "each")?;
    reader.known(&table, &words::EACH);
    let path = reader.required_text(&table, "path", "name the values: `path = \"$.teams[*].id\"`");
    let max = bounded(reader, &table, "max", 1, MAX_EACH);
    Some(Each { path: path?, max, concurrency })
}

const PAGE_HELP: &str = "one of `\"link\"`, `{ link = true }`, `{ next = \"$.CALL.next\" }`, \
    `{ cursor = \"$.CALL.cursor\", param = \"cursor\" }`, `{ page = 1, param = \"page\" }`";

fn paginate(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Paginate> {
    let value = fields.get("paginate")?;
    if let DeValue::String(text) = value.get_ref() {
        if text != "link" {
            let message = format!("not a way from page to page: `{text}`");
            reader.bad_value(value.span(), message, "unknown", PAGE_HELP);
            return None;
        }
        let max_pages = usize::try_from(MAX_PAGES.0).unwrap_or(0);
        let by = PageBy::Link;
        return Some(Paginate { by, items: None, until: None, max_pages, truncated: None });
    }
    let table = reader.as_table(value, "paginate")?;
    let sound = reader.known(&table, &words::PAGINATE);
    let by = page_by(reader, &table, sound);
    let items = reader.text(&table, "items");
    let until = reader.text(&table, "until");
    let max_pages = bounded(reader, &table, "max_pages", 1, MAX_PAGES);
    let truncated = reader.text(&table, "truncated");
    Some(Paginate { by: by?, items, until, max_pages, truncated })
}

fn page_by(reader: &mut Reader<'_>, table: &Fields<'_>, sound: bool) -> Option<PageBy> {
    let ways: Vec<_> = ["link", "next", "cursor", "page"].into_iter().filter(|way| table.has(way)).collect();
    let [way] = ways[..] else {
        if !ways.is_empty() || sound {
            let label = if ways.is_empty() { "none is named" } else { "several are named" };
            reader.bad_value(table.span(), "exactly one way from page to page is wanted here", label, PAGE_HELP);
        }
        return None;
    };
    let needs_param = matches!(way, "cursor" | "page");
    let param = match needs_param {
        true => reader.required_text(table, "param", "name the query parameter: `param = \"page\"`"),
        false => None,
    };
    if let Some(value) = table.get("param").filter(|_| !needs_param) {
        let message = format!("`param` goes with `cursor` or `page`, not with `{way}`");
        reader.bad_value(value.span(), message, "not used", "take it away");
    }
    match way {
        "link" if reader.flag(table, "link") => Some(PageBy::Link),
        "link" => {
            reader.bad_value(table.span(), "`link = false` leads nowhere", "no way", PAGE_HELP);
            None
        }
        "next" => reader.text(table, "next").map(PageBy::Next),
        "cursor" => Some(PageBy::Cursor { path: reader.text(table, "cursor")?, param: param? }),
        _ => {
            let first = bounded(reader, table, "page", 0, (1, MAX_PAGE));
            Some(PageBy::Number { first: i64::try_from(first).unwrap_or(1), param: param? })
        }
    }
}

fn retry(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Retry> {
    let value = fields.get("retry")?;
    if matches!(value.get_ref(), DeValue::Integer(_)) {
        let times = u8::try_from(bounded(reader, fields, "retry", 0, (0, MAX_RETRIES))).unwrap_or(0);
        return Some(Retry { span: value.span(), times, on: None, idempotent: false });
    }
    let table = reader.as_table(value, "retry")?;
    reader.known(&table, &words::RETRY);
    if !table.has("times") {
        reader.missing(&table, "times", "say how often: `times = 2`");
    }
    let times = u8::try_from(bounded(reader, &table, "times", 0, (0, MAX_RETRIES))).unwrap_or(0);
    let on = table.has("on").then(|| statuses(reader, &table, "on", &RETRIED));
    let idempotent = reader.flag(&table, "idempotent");
    Some(Retry { span: table.span(), times, on, idempotent })
}

impl Call {
    /// The token endpoint of its credentials.
    pub fn token_url(&self) -> Option<&Text> {
        match self.auth.as_ref()?.scheme.as_ref()? {
            Scheme::ClientCredentials(credentials) => Some(&credentials.token_url),
            Scheme::Bearer(_) | Scheme::Basic { .. } => None,
        }
    }

    /// All texts that its request is made of.
    pub fn texts(&self) -> Vec<&Text> {
        let mut texts = vec![&self.url];
        texts.extend(self.query.iter().chain(&self.headers).map(|(_, text)| text));
        match &self.body {
            Some(Body::Json(json)) => json.texts(&mut texts),
            Some(Body::Form(fields)) => texts.extend(fields.iter().map(|(_, text)| text)),
            Some(Body::Raw(text)) => texts.push(text),
            Some(Body::Graphql { variables, .. }) => variables.iter().for_each(|json| json.texts(&mut texts)),
            None => {}
        }
        texts
    }

    /// How a JWT that it answers is verified.
    pub fn jwt(&self) -> Option<&super::Jwt> {
        match &self.decode.as_ref()?.format {
            super::Format::Jwt(jwt) => Some(jwt),
            _ => None,
        }
    }

    /// Every text of the call with the place where it stands.
    pub fn span(&self) -> Span {
        self.name.span.clone()
    }
}
