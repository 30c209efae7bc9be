//! `xml`: a document as JSON, bounded, without document types and without entities of its own.
//!
//! An element becomes a member with its name; one with neither attributes nor elements in it is its text,
//! any other an object: attributes as `@name`, text as `#text`. What comes several times is an array.
//! White space around text and prefixes of namespaces are left out: `<p:name> Ada </p:name>` is
//! `"name": "Ada"`. The document is an object with the root element as its only member.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
    name::QName,
};
use serde_json::{Map, Value};

/// Elements inside one another.
const MAX_DEPTH: usize = 64;
/// Elements and attributes of a document.
const MAX_NODES: usize = 20_000;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 256;

/// An element that is not closed yet.
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
}

/// Reads a document. The elements in `lists` are arrays also where there is only one.
pub(super) fn read(text: &str, lists: &[String]) -> Result<Value, String> {
    let mut document = Document { lists, open: Vec::new(), done: Map::new(), nodes: 0 };
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|_| "it is not well-formed XML")? {
            Event::Start(start) => document.start(&start)?,
            Event::Empty(start) => {
                document.start(&start)?;
                document.end()?;
            }
            // The reader made sure that it fits.
            Event::End(_) => document.end()?,
            Event::Text(text) => document.text(&text.xml10_content())?,
            Event::CData(text) => document.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|_| "it is not well-formed XML")?;
                let text = character.map_or_else(|| predefined(&reference), |character| Ok(character.into()))?;
                document.text(&text)?;
            }
            Event::DocType(kind) if kind.contains('[') => return Err("it declares a document type of its own".into()),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            Event::Eof => return document.finish(),
        }
    }
}

/// The encoding that a document declares in its first bytes (XML 1.0, section 4.3.3).
pub(super) fn declared_charset(body: &[u8]) -> Option<&str> {
    let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let head = start.get(..start.len().min(256))?.split(|byte| *byte == b'>').next()?;
    let head = std::str::from_utf8(head).ok()?.strip_prefix("<?xml")?;
    let (_, value) = head.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next()
}

struct Document<'l> {
    lists: &'l [String],
    open: Vec<Open>,
    /// The root element, once it is closed.
    done: Map<String, Value>,
    nodes: usize,
}

impl Document<'_> {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.open.is_empty() && !self.done.is_empty() {
            return Err("it is XML with more than one root".into());
        }
        if self.open.len() == MAX_DEPTH {
            return Err(format!("it is XML of more than {MAX_DEPTH} levels"));
        }
        self.count()?;
        let name = local(start.name())?.to_owned();
        if self.open.is_empty() && name.eq_ignore_ascii_case("html") {
            return Err("it is an HTML page".into());
        }
        let mut members = Map::new();
        // Ours is the check for names that come twice: that of the library takes time by the square.
        for (number, attribute) in start.attributes().with_checks(false).enumerate() {
            let attribute = attribute.map_err(|_| "it is not well-formed XML")?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            self.count()?;
            if number == MAX_ATTRIBUTES {
                return Err(format!("it is XML with more than {MAX_ATTRIBUTES} attributes at an element"));
            }
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| UNKNOWN_ENTITY)?;
            let name = format!("@{}", local(attribute.key)?);
            if members.insert(name, Value::String(value.into_owned())).is_some() {
                return Err("it is XML with an attribute that comes twice".into());
            }
        }
        self.open.push(Open { name, members, text: String::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(Open { name, mut members, text }) = self.open.pop() else {
            return Err("it is not well-formed XML".into());
        };
        let text = text.trim();
        let value = if members.is_empty() {
            Value::String(text.to_owned())
        } else {
            if !text.is_empty() {
                members.insert("#text".into(), Value::String(text.to_owned()));
            }
            Value::Object(members)
        };
        let siblings = self.open.last_mut().map_or(&mut self.done, |parent| &mut parent.members);
        match siblings.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None if self.lists.contains(&name) => {
                siblings.insert(name, Value::Array(vec![value]));
            }
            None => {
                siblings.insert(name, value);
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("it is XML with text outside of its root".into()),
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("it is XML of more than {MAX_NODES} elements and attributes"));
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, String> {
        match (self.open.is_empty(), self.done.is_empty()) {
            (false, _) => Err("the XML ends too early".into()),
            (true, true) => Err("it is not XML".into()),
            (true, false) => Ok(Value::Object(self.done)),
        }
    }
}

const UNKNOWN_ENTITY: &str = "it is XML with an entity that is none of the five that are always known";

/// The entities that every document has (XML 1.0, section 4.6).
fn predefined(name: &str) -> Result<String, String> {
    Ok(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(UNKNOWN_ENTITY.into()),
    }
    .into())
}

/// A name without its prefix.
fn local(name: QName<'_>) -> Result<&str, String> {
    let local = name.0.split_once(':').map_or(name.0, |(_, local)| local);
    if local.is_empty() { Err("it is not well-formed XML".into()) } else { Ok(local) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_an_object() {
        for (text, expected) in [
            ("<a/>", json!({"a": ""})),
            ("<?xml version=\"1.0\"?>\n<a> Ada\n</a>\n<!-- x -->", json!({"a": "Ada"})),
            ("<a><b>1</b><c/></a>", json!({"a": {"b": "1", "c": ""}})),
            ("<a><b>1</b><b x='2'/><b>3</b></a>", json!({"a": {"b": ["1", {"@x": "2"}, "3"]}})),
            ("<a><email>x</email></a>", json!({"a": {"email": ["x"]}})),
            ("<a id=\"7\">t</a>", json!({"a": {"@id": "7", "#text": "t"}})),
            ("<a>x<b/>y</a>", json!({"a": {"#text": "xy", "b": ""}})),
            ("<p:a xmlns:p='u' xmlns='v' p:id='1'><q:b>2</q:b></p:a>", json!({"a": {"@id": "1", "b": "2"}})),
            ("<a>&lt;&amp;&gt;&quot;&apos;&#233;&#x4f60;</a>", json!({"a": "<&>\"'é你"})),
            ("<a b='&lt;&#233;'/>", json!({"a": {"@b": "<é"}})),
            ("<a><![CDATA[<b>&amp;]]> c</a>", json!({"a": "<b>&amp; c"})),
            ("<!DOCTYPE a SYSTEM \"x.dtd\"><a>1</a>", json!({"a": "1"})),
            ("<a><!-- b --><?pi c?>1</a>", json!({"a": "1"})),
        ] {
            assert_eq!(read(text, &["email".into()]), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_sound_or_not_bounded_is_refused() {
        let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        let wide = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
        let many = |count: usize| (0..count).map(|number| format!(" x{number}=''")).collect::<String>();
        assert!(read(&deep(MAX_DEPTH), &[]).is_ok());
        assert!(read(&wide(MAX_NODES - 1), &[]).is_ok());
        assert!(read(&format!("<a{}/>", many(MAX_ATTRIBUTES)), &[]).is_ok());
        for (text, words) in [
            ("", "it is not XML"),
            ("plain", "text outside"),
            ("{\"a\":1}", "text outside"),
            ("<a>", "ends too early"),
            ("<a><b></a>", "not well-formed"),
            ("</a>", "not well-formed"),
            ("<a", "not well-formed"),
            ("<a/><b/>", "more than one root"),
            ("<a/>x", "text outside"),
            ("<a b='1' b='2'/>", "comes twice"),
            ("<a p:b='1' q:b='2'/>", "comes twice"),
            ("<a b=1/>", "not well-formed"),
            ("<a>&nbsp;</a>", "none of the five"),
            ("<a b='&x;'/>", "none of the five"),
            ("<a>&</a>", "not well-formed"),
            ("<a>&#xD800;</a>", "not well-formed"),
            ("<:/>", "not well-formed"),
            ("<HTML><body/></HTML>", "an HTML page"),
            ("<!DOCTYPE html><html><body>", "an HTML page"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type of its own"),
            ("<!DOCTYPE a [<!ENTITY b SYSTEM 'http://a.example/x'>]><a>&b;</a>", "document type of its own"),
            (&deep(MAX_DEPTH + 1), "more than 64 levels"),
            (&deep(100_000), "more than 64 levels"),
            (&wide(MAX_NODES), "more than 20000 elements"),
            (&format!("<a{}/>", many(MAX_ATTRIBUTES + 1)), "more than 256 attributes"),
        ] {
            let found = read(text, &[]);
            let shown = &text[..text.len().min(60)];
            assert!(found.as_ref().is_err_and(|found| found.contains(words)), "{shown}: {found:?}");
        }
    }

    #[test]
    fn a_document_may_declare_its_charset() {
        for (body, expected) in [
            (&b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>"[..], Some("ISO-8859-1")),
            (b"\xef\xbb\xbf<?xml version=\"1.0\" encoding = \"utf-8\" ?><a/>", Some("utf-8")),
            (b"<?xml version='1.0'?><a encoding='x'/>", None),
            (b"<a/>", None),
            (b"<?xml encoding=", None),
            (b"\xff<?xml encoding='x'?>", None),
        ] {
            assert_eq!(declared_charset(body), expected, "{body:?}");
        }
    }
}
