//! Bodies by their format: whatever can be taken apart is, the rest is text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use http::{HeaderValue, header};
use serde_json::Value;

use super::redact::Redactor;
use crate::core::message::Answer;

/// A picture as text: what is looked at are its first bytes.
const PICTURE: &str = "GIF89a";

/// A body without anything of the person, in UTF-8, and the Content-Type that goes with it.
pub(super) fn redact(redactor: &mut Redactor, answer: &Answer) -> (String, Option<HeaderValue>) {
    let named = content_type(answer);
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.starts_with("image/") && !essence.starts_with("image/svg") || is_picture(&answer.body) {
        return (PICTURE.to_owned(), Some(HeaderValue::from_static("image/gif")));
    }
    let text = decode(answer, named);
    let body = text_of(redactor, &essence, &text);
    let is_usual = essence.is_empty() || essence == "application/json";
    let header = match is_usual {
        true => None,
        false => HeaderValue::try_from(essence).ok(),
    };
    (body, header)
}

/// The JSON of a body, if that is what it is.
pub(super) fn value(answer: &Answer) -> Option<Value> {
    serde_json::from_str(&decode(answer, content_type(answer))).ok()
}

fn text_of(redactor: &mut Redactor, essence: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return text.to_owned();
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return redactor.value("", &value).to_string();
    }
    if text.trim_start().starts_with('<') {
        return markup(redactor, text);
    }
    if let Some((name, inner)) = jsonp(text) {
        return format!("{name}({});", redactor.value("", &inner));
    }
    let is_form = essence == "application/x-www-form-urlencoded";
    let looks_so = !text.contains(char::is_whitespace) && text.contains('=');
    if is_form || looks_so { redactor.form(text, 0) } else { redactor.text("", text) }
}

fn content_type(answer: &Answer) -> &str {
    answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn decode<'a>(answer: &'a Answer, content_type: &str) -> Cow<'a, str> {
    let label = content_type
        .to_ascii_lowercase()
        .split_once("charset=")
        .map(|(_, label)| label.split(';').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned());
    let head = String::from_utf8_lossy(&answer.body[..answer.body.len().min(128)]).into_owned();
    let declared = head.split_once("encoding=").and_then(|(_, rest)| {
        let quote = rest.chars().next()?;
        rest[1..].split(quote).next().map(str::to_owned)
    });
    let label = label.or(declared.filter(|_| head.trim_start().starts_with("<?xml")));
    let encoding = label.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8);
    encoding.decode(&answer.body).0
}

fn is_picture(body: &[u8]) -> bool {
    [&b"\x89PNG"[..], b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM\x00"].iter().any(|magic| body.starts_with(magic))
}

/// `name({…});`
fn jsonp(text: &str) -> Option<(&str, Value)> {
    let (name, rest) = text.trim().split_once('(')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_$. ".contains(c));
    let inner = rest.trim_end().trim_end_matches(';').trim_end().strip_suffix(')')?;
    Some((name, serde_json::from_str(inner).ok()?)).filter(|_| is_name)
}

/// XML, or a page: what stands between tags and in attributes. It need not be well-formed, and stays what it was.
fn markup(redactor: &mut Redactor, text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    let mut element = String::new();
    while !rest.is_empty() {
        let (piece, after) = next_piece(rest);
        rest = after;
        if let Some(inner) = piece.strip_prefix("<![CDATA[").and_then(|inner| inner.strip_suffix("]]>")) {
            let inner = redactor.text(&element, inner).replace("]]>", "");
            made.push_str(&format!("<![CDATA[{inner}]]>"));
        } else if piece.starts_with("<?") {
            if piece.starts_with("<?xml") {
                made.push_str("<?xml version=\"1.0\"?>");
            }
        } else if piece.starts_with("<!--") {
            // A comment is for nobody.
        } else if let Some(inner) = piece.strip_prefix('<') {
            if !inner.starts_with(['/', '!']) {
                element =
                    inner.split(|c: char| c.is_whitespace() || "/>".contains(c)).next().unwrap_or_default().into();
            }
            made.push_str(&tag(redactor, piece));
        } else {
            made.push_str(&escaped(redactor, local(&element), piece));
        }
    }
    made
}

/// A tag, a section, a comment, or the text before the next of these.
fn next_piece(text: &str) -> (&str, &str) {
    let end = |close: &str| text.find(close).map_or(text.len(), |at| at + close.len());
    let length = match text {
        _ if text.starts_with("<!--") => end("-->"),
        _ if text.starts_with("<![CDATA[") => end("]]>"),
        _ if text.starts_with("<?") => end("?>"),
        _ if text.starts_with('<') => tag_end(text),
        _ => text.find('<').unwrap_or(text.len()),
    };
    text.split_at(length)
}

/// The end of a tag: a `>` in quotes does not close it.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '>') => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The values of a tag's attributes; namespaces are not values.
fn tag(redactor: &mut Redactor, tag: &str) -> String {
    let mut made = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = &rest[at..=at];
        let inner = &rest[at + 1..];
        let Some(end) = inner.find(quote) else { break };
        let name = rest[..at].trim_end().trim_end_matches('=').trim_end();
        let name = name.rsplit(char::is_whitespace).next().unwrap_or_default();
        let value = match name.starts_with("xmlns") || tag.starts_with("<!") {
            true => inner[..end].to_owned(),
            false => escaped(redactor, local(name), &inner[..end]),
        };
        made.push_str(&format!("{}{quote}{value}{quote}", &rest[..at]));
        rest = &inner[end + 1..];
    }
    made + rest
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn escaped(redactor: &mut Redactor, key: &str, text: &str) -> String {
    let plain = quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), Cow::into_owned);
    quick_xml::escape::escape(redactor.text(key, &plain)).into_owned()
}
