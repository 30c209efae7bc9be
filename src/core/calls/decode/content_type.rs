//! What a Content-Type says of the format and the charset of a body.

use http::{HeaderMap, header};

/// The formats that a Content-Type alone decides; everything else is tried as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Form,
    Xml,
    Other,
}

/// A Content-Type, taken apart; empty if there is none.
#[derive(Debug)]
pub(super) struct ContentType<'a> {
    /// Type and subtype as they were sent.
    pub(super) essence: &'a str,
    pub(super) kind: Kind,
    pub(super) charset: Option<&'a str>,
}

impl<'a> ContentType<'a> {
    /// That of an answer.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ContentType::parse(text)
    }

    fn parse(text: &'a str) -> Self {
        // What nearly all answers say, without a search.
        if text == "application/json" {
            return ContentType { essence: text, kind: Kind::Other, charset: None };
        }
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim();
        ContentType { essence, kind: kind(essence), charset: parameters.split(';').find_map(charset) }
    }
}

fn kind(essence: &str) -> Kind {
    let ends = |end: &str| {
        let at = essence.len().saturating_sub(end.len());
        essence.is_char_boundary(at) && essence[at..].eq_ignore_ascii_case(end)
    };
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Kind::Form;
    }
    // XHTML is a page for people.
    match (ends("/xml") || ends("+xml")) && !ends("/xhtml+xml") {
        true => Kind::Xml,
        false => Kind::Other,
    }
}

fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim().trim_matches(['"', '\'']).trim();
    (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_read_however_it_is_written() {
        for (text, kind, charset) in [
            ("", Kind::Other, None),
            ("application/json", Kind::Other, None),
            ("application/json; charset=utf-8", Kind::Other, Some("utf-8")),
            ("text/html;Charset=\"ISO-8859-1\"", Kind::Other, Some("ISO-8859-1")),
            ("text/plain; format=flowed; charset = 'gbk' ", Kind::Other, Some("gbk")),
            ("text/plain; charset=", Kind::Other, None),
            ("text/plain; xcharset=gbk", Kind::Other, None),
            ("TEXT/XML", Kind::Xml, None),
            ("application/xml;charset=utf-8", Kind::Xml, Some("utf-8")),
            ("application/atom+xml", Kind::Xml, None),
            ("application/xhtml+xml", Kind::Other, None),
            ("application/X-WWW-Form-Urlencoded; charset=utf-8", Kind::Form, Some("utf-8")),
            ("xml", Kind::Other, None),
            (";;;", Kind::Other, None),
        ] {
            let found = ContentType::parse(text);
            assert_eq!((found.kind, found.charset), (kind, charset), "{text}");
        }
    }
}
