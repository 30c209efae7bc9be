//! Nothing of a person, and no credential: the same value becomes the same other one, of the same shape.
//!
//! A text is taken apart into what has a shape of its own (e-mail, address, id, time) and, of the rest, runs of letters
//! and digits. Each run has one replacement, so a login is the same in a profile, in an address and before an `@`.
//! What the rule compares with stays, and so do booleans, small numbers and words of small enumerations.

mod text;
mod times;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Number, Value};
use url::Url;

use self::times::Times;
use super::{
    bodies,
    literals::Literals,
    recorder::Exchange,
    shapes,
    words::{Words, runs},
};
use crate::core::{
    message::{Answer, FetchError, Request, Secret},
    trace::forms,
};

/// Replaces what must not be seen.
#[derive(Debug)]
pub struct Redactor {
    literals: Literals,
    /// Origins that the rule calls: addresses there stay addresses there.
    origins: BTreeSet<String>,
    /// The token and the secrets in the forms in which they travel, and what stands for them.
    fixed: Vec<(String, String)>,
    words: Words,
    times: Times,
    /// Domains of e-mail addresses, hosts, addresses of machines, ids with a form of their own.
    made: HashMap<String, String>,
    domains: Vec<String>,
    /// Words that name a person, in lower case.
    names: HashSet<String>,
    /// Originals that would tell who it was by themselves.
    strong: BTreeSet<String>,
}

/// What stands for the credentials.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) token: String,
    pub(super) secrets: BTreeMap<String, String>,
}

impl Credentials {
    pub(super) fn secret(&self, name: &str) -> String {
        self.secrets.get(name).cloned().unwrap_or_else(|| usual_secret(name))
    }
}

/// What a secret is in a case that does not say it.
pub(super) fn usual_secret(name: &str) -> String {
    format!("s3cret-{name}")
}

/// What the caller's token is in a case that does not say it.
pub(super) const USUAL_TOKEN: &str = "t0ken";
/// Shorter credentials are none, and would be found everywhere.
const SHORTEST: usize = 4;
/// Values inside of values inside of texts.
const MAX_DEPTH: usize = 128;

/// An answer, replaced.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) reply: Result<Answer, FetchError>,
}

impl Redactor {
    /// A redactor that keeps what a rule says, and moves times near `now` so that it becomes `then`.
    pub(super) fn new(literals: Literals, now: Duration, then: Duration) -> Self {
        Redactor {
            literals,
            origins: BTreeSet::new(),
            fixed: Vec::new(),
            words: Words::default(),
            times: Times::new(now, then),
            made: HashMap::new(),
            domains: Vec::new(),
            names: HashSet::new(),
            strong: BTreeSet::new(),
        }
    }

    /// Origins to which the rule sends its requests.
    pub(super) fn origins<'u>(&mut self, urls: impl Iterator<Item = &'u Url>) {
        self.origins.extend(urls.map(|url| url.origin().ascii_serialization()));
    }

    /// Looks at all answers before any is changed: no replacement must be what another answer holds.
    pub(super) fn learn(&mut self, exchanges: &[Exchange]) {
        for answer in exchanges.iter().filter_map(|exchange| exchange.reply.as_ref()?.as_ref().ok()) {
            match bodies::value(answer) {
                Some(value) => self.learn_value("", &value, 0),
                None => self.learn_text("", &String::from_utf8_lossy(&answer.body)),
            }
        }
    }

    /// What stands for the token and the secrets from now on.
    pub(super) fn credentials(&mut self, token: &str, secrets: &BTreeMap<String, Secret>) -> Credentials {
        let mut made = BTreeMap::new();
        for (name, secret) in secrets {
            let secret = secret.expose();
            let stand_in = match secret {
                digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => self.words.digits(digits),
                uuid if shapes::is_uuid(uuid) => self.uuid(uuid),
                _ => usual_secret(name),
            };
            self.fix(secret, &stand_in);
            made.insert(name.clone(), stand_in);
        }
        let stand_in = match shapes::jwt(token) {
            Some(_) => self.jwt(token, 0),
            None => USUAL_TOKEN.to_owned(),
        };
        self.fix(token, &stand_in);
        self.fixed.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Credentials { token: stand_in, secrets: made }
    }

    fn fix(&mut self, value: &str, stand_in: &str) {
        if value.len() < SHORTEST {
            return;
        }
        self.strong.insert(value.to_owned());
        for form in forms(value) {
            if !self.fixed.iter().any(|(known, _)| *known == form) {
                self.fixed.push((form, stand_in.to_owned()));
            }
        }
    }

    /// An exchange's answer.
    pub(super) fn exchange(&mut self, exchange: &Exchange) -> Answered {
        let words = || "the case says so".to_owned();
        let reply = match &exchange.reply {
            None | Some(Err(FetchError::Timeout)) => Err(FetchError::Timeout),
            Some(Err(
                FetchError::Connect(_) | FetchError::Refused(_) | FetchError::Spared(_) | FetchError::Barred(_),
            )) => Err(FetchError::Connect(words())),
            Some(Err(FetchError::Broken(_) | FetchError::TooLarge(_))) => Err(FetchError::Broken(words())),
            Some(Ok(answer)) => Ok(self.answer(answer)),
        };
        Answered { reply }
    }

    fn answer(&mut self, answer: &Answer) -> Answer {
        let (body, content_type) = bodies::redact(self, answer);
        let mut headers = HeaderMap::new();
        headers.extend(content_type.map(|value| (header::CONTENT_TYPE, value)));
        for (name, value) in &answer.headers {
            let leads = [header::LINK, header::LOCATION].contains(name);
            if name == header::CONTENT_TYPE || crate::core::value::PRIVATE_HEADERS.contains(name) {
                continue;
            }
            if let Ok(text) = value.to_str()
                && (leads || *name == header::RETRY_AFTER || self.literals.holds(name.as_str()))
            {
                let text = match *name {
                    header::RETRY_AFTER => text.to_owned(),
                    header::LINK => self.links(text),
                    _ => self.text(name.as_str(), text),
                };
                headers.extend(HeaderValue::try_from(text).ok().map(|value| (name.clone(), value)));
            }
        }
        Answer { status: answer.status, headers, body: body.into() }
    }

    /// The addresses of a `Link` header; what it says of them stays.
    fn links(&mut self, text: &str) -> String {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let Some((address, after)) = after.split_once('>') else { break };
            made.push_str(&format!("{before}<{}>", self.text("link", address)));
            rest = after;
        }
        made + rest
    }

    /// The caller's request, with what stands for its token; without what the rule does not read.
    pub(super) fn request(&mut self, request: &Request, token: &str, stand_in: &str) -> Request {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            if name != "access_token" && self.literals.says(&name) {
                query.append_pair(&name, &self.text(&name, &value));
            }
        }
        let query = query.finish();
        let path = request.uri().path();
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let method = if request.method() == http::Method::POST { http::Method::POST } else { http::Method::GET };
        let mut made = http::Request::builder().method(method).uri(uri);
        let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let authorization = sent.map_or_else(|| format!("Bearer {stand_in}"), |sent| sent.replace(token, stand_in));
        made = made.header(header::AUTHORIZATION, authorization);
        for (name, value) in request.headers() {
            if *name != header::AUTHORIZATION
                && self.literals.holds(name.as_str())
                && let Ok(text) = value.to_str()
            {
                made = made.header(name, self.text(name.as_str(), text));
            }
        }
        made.body(bytes::Bytes::new()).unwrap_or_default()
    }

    /// A JSON value; `key` is the member that it stands under.
    pub fn value(&mut self, key: &str, value: &Value) -> Value {
        self.value_at(key, value, 0)
    }

    fn value_at(&mut self, key: &str, value: &Value, depth: usize) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            _ if depth > MAX_DEPTH => Value::Null,
            Value::Number(number) => self.number(key, number).map_or(Value::Null, Value::Number),
            Value::String(text) => self.text_at(key, text, depth).into(),
            Value::Array(items) => items.iter().map(|item| self.value_at(key, item, depth + 1)).collect(),
            Value::Object(members) => {
                let mut made = Map::new();
                for (name, value) in members {
                    let value = self.value_at(name, value, depth + 1);
                    made.insert(self.member(name), value);
                }
                Value::Object(made)
            }
        }
    }

    /// The name of a member. Most are the provider's words; some providers put values there.
    fn member(&mut self, name: &str) -> String {
        if self.literals.says(name) || self.literals.holds(name) {
            return name.to_owned();
        }
        let digits = name.bytes().filter(u8::is_ascii_digit).count();
        let is_value = shapes::email(name).is_some()
            || shapes::is_uuid(name)
            || shapes::is_web_address(name)
            || shapes::ip(name).is_some()
            || digits >= 5
            || self.fixed.iter().any(|(form, _)| name.contains(form.as_str()))
            || runs(name).any(|(run, _)| self.names.contains(&run.to_lowercase()));
        if is_value { self.text(name, name) } else { name.to_owned() }
    }

    fn number(&mut self, key: &str, number: &Number) -> Option<Number> {
        let text = number.as_str();
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        if self.literals.has_number(text) || shapes::counts(key, digits) {
            return Some(number.clone());
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.float(text).parse().ok();
        }
        if let Some((_, stand_in)) = self.fixed.iter().find(|(form, _)| form == digits) {
            return format!("{sign}{stand_in}").parse().ok();
        }
        if let Some(moved) = shapes::epoch(digits).filter(|_| shapes::is_time(key)) {
            return self.times.epoch(moved, &mut self.words, digits).parse().ok();
        }
        if digits.len() < 5 && !shapes::is_personal(key) {
            return Some(number.clone());
        }
        self.note_digits(digits);
        format!("{sign}{}", self.words.digits(digits)).parse().ok()
    }

    /// The digits of a place on earth are as good as an address; those of half a percent are not.
    fn float(&mut self, text: &str) -> String {
        let (mantissa, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        let significant = mantissa.bytes().filter(u8::is_ascii_digit).count();
        if significant <= 3 {
            return text.to_owned();
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let unsigned = whole.trim_start_matches('-');
        let sign = if whole.len() > unsigned.len() { "-" } else { "" };
        let whole = if unsigned.len() <= 2 { unsigned.to_owned() } else { self.words.digits(unsigned) };
        let fraction = if fraction.is_empty() { String::new() } else { format!(".{}", self.words.digits(fraction)) };
        format!("{sign}{whole}{fraction}{exponent}")
    }

    fn note_digits(&mut self, digits: &str) {
        if digits.len() >= 6 {
            self.strong.insert(digits.to_owned());
        }
    }

    fn learn_value(&mut self, key: &str, value: &Value, depth: usize) {
        match value {
            Value::Null | Value::Bool(_) => {}
            _ if depth > MAX_DEPTH => {}
            Value::Number(number) if number.as_str().len() >= SHORTEST => self.words.avoid(number.as_str()),
            Value::Number(_) => {}
            Value::String(text) => self.learn_text(key, text),
            Value::Array(items) => items.iter().for_each(|item| self.learn_value(key, item, depth + 1)),
            Value::Object(members) => members.iter().for_each(|(name, member)| {
                self.learn_text("", name);
                self.learn_value(name, member, depth + 1);
            }),
        }
    }

    fn learn_text(&mut self, key: &str, text: &str) {
        let named = shapes::is_name(key) && !self.literals.has(text);
        for (run, _) in runs(text).filter(|(_, inside)| *inside) {
            self.words.avoid(run);
            run.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() >= SHORTEST).for_each(|digits| {
                self.words.avoid(digits);
            });
            run.split(|c: char| c.is_ascii_digit()).filter(|letters| letters.len() >= 3).for_each(|letters| {
                self.words.avoid(letters);
            });
            if named && run.chars().count() >= 3 {
                self.names.insert(run.to_lowercase());
            }
        }
        for (_, domain) in text.split(|c: char| c.is_whitespace() || "<>,;\"'()".contains(c)).filter_map(shapes::email)
        {
            let domain = domain.to_lowercase();
            if !self.domains.contains(&domain) {
                self.domains.push(domain);
            }
        }
    }

    /// The token as a JWT of other claims, without a signature that anybody made.
    fn jwt(&mut self, token: &str, depth: usize) -> String {
        const SIGNATURE: &str = "c2lnbmF0dXJl";
        let Some((head, payload)) = shapes::jwt(token) else { return USUAL_TOKEN.to_owned() };
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok().filter(Value::is_object)
        };
        let (Some(mut head), Some(payload)) = (read(head), read(payload)) else { return USUAL_TOKEN.to_owned() };
        if let Some(head) = head.as_object_mut() {
            head.retain(|name, _| matches!(name.as_str(), "alg" | "typ"));
        }
        self.learn_value("", &payload, depth + 1);
        let payload = self.value_at("", &payload, depth + 1);
        let write = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{SIGNATURE}", write(&head), write(&payload))
    }

    fn uuid(&mut self, uuid: &str) -> String {
        let key = uuid.to_ascii_lowercase();
        self.strong.insert(key.clone());
        if !self.made.contains_key(&key) {
            let digit = |words: &mut Words, c: char| match c {
                '-' => '-',
                _ => char::from_digit(words.number(16) as u32, 16).unwrap_or('0'),
            };
            let mut made: Vec<_> = key.chars().map(|c| digit(&mut self.words, c)).collect();
            // Version and variant (RFC 9562, section 4) stay.
            for at in [14, 19] {
                made[at] = char::from(key.as_bytes()[at]);
            }
            self.made.insert(key.clone(), made.into_iter().collect());
        }
        let made = self.made[&key].clone();
        if uuid.bytes().any(|byte| byte.is_ascii_uppercase()) { made.to_ascii_uppercase() } else { made }
    }

    /// What of the originals stands in a text all the same.
    pub(super) fn survivor(&self, text: &str) -> Option<&'static str> {
        let lower = text.to_lowercase();
        let credential = |(form, _): &&(String, String)| text.contains(form.as_str()) && !self.literals.holds(form);
        if self.fixed.iter().any(|fixed| credential(&fixed)) {
            return Some("a credential");
        }
        let stands = |original: &&String| lower.contains(&original.to_lowercase()) && !self.literals.holds(original);
        self.strong.iter().find(stands).map(|_| "something of the person")
    }
}
