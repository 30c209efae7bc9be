//! `form`: `application/x-www-form-urlencoded` as an object of strings.

use serde_json::{Map, Value};

use super::charset;

/// Pairs that a form may have.
const MAX_PAIRS: usize = 1_000;

/// Reads a form. A name that comes several times has an array.
pub(super) fn read(text: &str, charset: Option<&str>) -> Result<Value, String> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    // What no form has: it is something else, most likely a page or JSON.
    if !text.contains('=')
        || text.starts_with(['{', '['])
        || text.contains(|c: char| c.is_control() || " <>\"".contains(c))
    {
        return Err("it is not a form".into());
    }
    let mut form = Map::new();
    for (number, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if number == MAX_PAIRS {
            return Err(format!("it is a form of more than {MAX_PAIRS} fields"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (part(name, charset)?, Value::String(part(value, charset)?));
        match form.get_mut(&name) {
            None => {
                form.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(Value::Object(form))
}

/// A name or a value, decoded. Unlike browsers it takes no broken escapes.
fn part(text: &str, charset: Option<&str>) -> Result<String, String> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or("it is a form with a broken escape")?
            }
            byte => byte,
        });
    }
    match text.is_ascii() {
        true => charset::decode_part(&bytes, charset),
        // The text is decoded already, and what is escaped in it would have to be of the same charset.
        false => charset::decode_part(&bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_an_object_of_strings() {
        for (text, charset, expected) in [
            ("a=1&b=x+y%26&c=", None, json!({"a": "1", "b": "x y&", "c": ""})),
            ("a=1&a=2&a=3&b", None, json!({"a": ["1", "2", "3"], "b": ""})),
            ("&&a=1=2&\n", None, json!({"a": "1=2"})),
            ("na%6De=Zo%C3%AB", None, json!({"name": "Zoë"})),
            ("name=Zo%EB", Some("iso-8859-1"), json!({"name": "Zoë"})),
            ("name=Zoë+%C3%AB", Some("iso-8859-1"), json!({"name": "Zoë ë"})),
            ("url=https://a.example/x?y,z", None, json!({"url": "https://a.example/x?y,z"})),
        ] {
            assert_eq!(read(text, charset), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for (text, words) in [
            ("", "it is not a form"),
            ("plain", "it is not a form"),
            ("<html lang=\"en\">", "it is not a form"),
            (r#"{"a":"="}"#, "it is not a form"),
            ("a=1\nb=2", "it is not a form"),
            ("a=1 2", "it is not a form"),
            ("a=%zz", "it is a form with a broken escape"),
            ("a=%4", "it is a form with a broken escape"),
            ("a=%", "it is a form with a broken escape"),
            ("a=%FF", "it is not UTF-8"),
        ] {
            assert_eq!(read(text, None), Err(words.to_owned()), "{text}");
        }
        let huge = "a=1&".repeat(MAX_PAIRS);
        assert!(read(&huge, None).is_ok());
        assert_eq!(read(&format!("{huge}b=1"), None), Err("it is a form of more than 1000 fields".into()));
    }
}
