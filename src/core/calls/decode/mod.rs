//! From an answer's bytes to what is kept of it. A wrong Content-Type is forgiven, a wrong body is not.
//!
//! What is wrong with a body is told without a byte of it: it may be private.

mod charset;
mod content_type;
mod data_uri;
mod form;
mod json;
mod jsonp;
mod xml;

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde_json::Value;
use url::Url;

use self::content_type::{ContentType, Kind};
use super::Cause;
use crate::core::{
    facts::{Kept, Shape},
    host::Host,
    keyring::{self, Verifier},
    message::Answer,
    rule,
};

/// How the answers of a call are read.
#[derive(Debug)]
pub(super) enum Decoder {
    /// As the Content-Type says, where the body agrees; JSON otherwise.
    ByContentType,
    Json,
    Text,
    Form,
    Jsonp,
    /// These elements are arrays also where there is only one.
    Xml(Vec<String>),
    DataUri,
    /// Verified, which takes the issuer's keys.
    Jwt(Box<Verifier>),
}

impl Decoder {
    /// The decoder that a rule names.
    pub(super) fn new(written: Option<&rule::Decode>) -> Self {
        match written.map(|decode| &decode.format) {
            None => Decoder::ByContentType,
            Some(rule::Format::Json) => Decoder::Json,
            Some(rule::Format::Text) => Decoder::Text,
            Some(rule::Format::Form) => Decoder::Form,
            Some(rule::Format::Jsonp) => Decoder::Jsonp,
            Some(rule::Format::Xml { lists }) => Decoder::Xml(lists.iter().map(|name| name.value.clone()).collect()),
            Some(rule::Format::DataUri | rule::Format::Jwt(_)) => Decoder::DataUri,
        }
    }

    /// What a request asks for, unless the rule says otherwise.
    pub(super) fn accept(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Decoder::ByContentType | Decoder::Json => "application/json",
            Decoder::Text => "text/plain, */*;q=0.5",
            Decoder::Form => "application/x-www-form-urlencoded, */*;q=0.5",
            Decoder::Jsonp => "application/javascript, */*;q=0.5",
            Decoder::Xml(_) => "application/xml, text/xml;q=0.9, */*;q=0.5",
            Decoder::DataUri => "image/*",
            Decoder::Jwt(_) => "application/jwt",
        })
    }

    /// True if the answer is one text, which has no members.
    pub(super) fn gives_text(&self) -> bool {
        matches!(self, Decoder::Text | Decoder::DataUri)
    }

    /// Where the keys are fetched from that an answer is verified with, if they are.
    pub(super) fn key_set(&self) -> Option<&Url> {
        match self {
            Decoder::Jwt(verifier) => verifier.key_set(),
            _ => None,
        }
    }

    /// How long reading may take at most besides: keys may have to be fetched.
    pub(super) fn longest(&self) -> Duration {
        match self {
            Decoder::Jwt(verifier) => verifier.longest(),
            _ => Duration::ZERO,
        }
    }

    /// Where the keys for its answers are fetched from, if they are.
    pub(super) fn keys(&self) -> Option<&Url> {
        match self {
            Decoder::Jwt(verifier) => verifier.key_set(),
            _ => None,
        }
    }

    /// As what an answer was read, for people.
    pub(super) fn words(&self, answer: &Answer) -> String {
        let content_type = ContentType::of(&answer.headers);
        let first = answer.body.trim_ascii_start().first();
        let read = match (self, content_type.kind, first) {
            (_, _, None) => "nothing",
            (Decoder::ByContentType, Kind::Xml, Some(b'<')) | (Decoder::Xml(_), ..) => "XML",
            (Decoder::ByContentType, Kind::Form, Some(first)) if !b"{[<\"".contains(first) => "a form",
            (Decoder::ByContentType | Decoder::Json, ..) => "JSON",
            (Decoder::Text, ..) => "one text",
            (Decoder::Form, ..) => "a form",
            (Decoder::Jsonp, ..) => "JSONP",
            (Decoder::DataUri, ..) => "a picture",
            (Decoder::Jwt(_), ..) => "a JWT, verified",
        };
        match content_type.essence {
            "" => format!("read as {read}; it names no Content-Type"),
            named => format!("read as {read}; it calls itself `{named}`"),
        }
    }

    /// Reads an answer, as far as the rule needs it. An answer without content is null.
    pub(super) async fn read<H: Host>(&self, shape: &Shape, answer: &Answer, host: &H) -> Result<Kept, Cause> {
        match self {
            Decoder::Jwt(verifier) => jwt(verifier, answer, host).await,
            _ => self.read_here(shape, answer),
        }
    }

    /// Reads an answer for which nobody else has to be asked.
    fn read_here(&self, shape: &Shape, answer: &Answer) -> Result<Kept, Cause> {
        if matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Kept::Whole(Value::Null));
        }
        if matches!(self, Decoder::DataUri) && answer.status == StatusCode::NOT_FOUND {
            // The call expects it: this user has no picture.
            return Ok(Kept::Whole(Value::Null));
        }
        if answer.body.is_empty() {
            return Err(Cause::Body("it is empty".into()));
        }
        self.parse(shape, answer).map_err(Cause::Body)
    }

    fn parse(&self, shape: &Shape, answer: &Answer) -> Result<Kept, String> {
        let content_type = ContentType::of(&answer.headers);
        if matches!(self, Decoder::DataUri) {
            return data_uri::read(&content_type, &answer.body).map(Kept::Whole);
        }
        let named = match (self, content_type.charset) {
            // A document says it itself where the header does not (RFC 7303, section 3.2).
            (Decoder::Xml(_), None) => xml::declared_charset(&answer.body),
            (Decoder::ByContentType, None) if content_type.kind == Kind::Xml => xml::declared_charset(&answer.body),
            (_, named) => named,
        };
        let text = charset::decode(&answer.body, named)?;
        let value = match self {
            Decoder::ByContentType => return by_content_type(content_type.kind, shape, &text),
            Decoder::Json => return json::read(shape, &text),
            Decoder::Jsonp => return json::read(shape, jsonp::unwrap(&text)?),
            Decoder::Text | Decoder::DataUri | Decoder::Jwt(_) => Value::String(text.into_owned()),
            Decoder::Form => form::read(&text, named)?,
            Decoder::Xml(lists) => xml::read(&text, lists)?,
        };
        match shape {
            Shape::Members(members) if !members.is_empty() && !value.is_object() => {
                Err("it is a text, which has no members".into())
            }
            _ => Ok(Kept::Whole(value)),
        }
    }
}

/// The formats of a text that was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// JSON in the call of a function.
    Jsonp,
}

/// Reads a text as the answer of a call would be read, and keeps all of it.
///
/// # Errors
/// What is wrong with it, without a byte of it.
pub fn read_text(format: Text, text: &str) -> Result<Value, String> {
    let parse = |text: &str| serde_json::from_str(text).map_err(|error| json::explain(text, &error));
    match format {
        Text::Json => parse(text),
        Text::Jsonp => parse(jsonp::unwrap(text)?),
        Text::Form => form::read(text, None),
        Text::Xml => xml::read(text, &[]),
    }
}

/// A signed or encrypted answer (OpenID Connect Core, section 5.3.2). One that is neither would be a way around.
async fn jwt<H: Host>(verifier: &Verifier, answer: &Answer, host: &H) -> Result<Kept, Cause> {
    let text = std::str::from_utf8(&answer.body).map_err(|_| Cause::Body("it is no JWT".into()))?;
    match verifier.verify(text, host).await {
        Ok(claims) => Ok(Kept::Whole(Value::Object(claims))),
        Err(keyring::Failure::Token(failure)) => Err(Cause::Body(format!("the JWT: {}", failure.words()))),
        Err(keyring::Failure::Keys(why)) => Err(Cause::Body(format!("the JWT: the keys of its issuer: {why}"))),
    }
}

/// The body has the last word: JSON is JSON whatever it is called.
fn by_content_type(kind: Kind, shape: &Shape, text: &str) -> Result<Kept, String> {
    match (kind, text.trim_start().as_bytes().first()) {
        (Kind::Xml, Some(b'<')) => xml::read(text, &[]).map(Kept::Whole),
        (Kind::Form, Some(first)) if !b"{[<\"".contains(first) => form::read(text, None).map(Kept::Whole),
        _ => json::read(shape, text),
    }
}
