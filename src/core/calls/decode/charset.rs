//! From bytes to text: a byte order mark decides, then the charset that is named, and UTF-8 otherwise.
//!
//! Bytes that are none of the charset are a failure: put right by guess, they could name another user.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The text of a body, without a byte order mark.
pub(super) fn decode<'b>(body: &'b [u8], named: Option<&str>) -> Result<Cow<'b, str>, String> {
    let (encoding, body) = match (Encoding::for_bom(body), named) {
        (Some((encoding, length)), _) => (encoding, &body[length..]),
        (None, Some(label)) => (find(label)?, body),
        (None, None) => (UTF_8, body),
    };
    decode_as(encoding, body)
}

/// The text of percent-encoded bytes, in the charset that the header names.
pub(super) fn decode_part(bytes: &[u8], named: Option<&str>) -> Result<String, String> {
    let encoding = named.map_or(Ok(UTF_8), find)?;
    // Whatever the charset of the page, its ASCII characters were escaped byte by byte.
    let encoding = if encoding.is_ascii_compatible() { encoding } else { UTF_8 };
    decode_as(encoding, bytes).map(Cow::into_owned)
}

fn decode_as<'b>(encoding: &'static Encoding, body: &'b [u8]) -> Result<Cow<'b, str>, String> {
    if encoding == UTF_8 {
        return std::str::from_utf8(body).map(Cow::Borrowed).map_err(|_| "it is not UTF-8".into());
    }
    encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or_else(|| format!("it is not {}, which it says it is", encoding.name()))
}

/// The charset with a label of the Encoding Standard.
fn find(label: &str) -> Result<&'static Encoding, String> {
    // What nearly all say, without a search.
    if label.eq_ignore_ascii_case("utf-8") {
        return Ok(UTF_8);
    }
    // For the standard ASCII is windows-1252. Bytes beyond ASCII contradict it, and are UTF-8 in all likelihood.
    if ["us-ascii", "ascii"].iter().any(|ascii| label.eq_ignore_ascii_case(ascii)) {
        return Ok(UTF_8);
    }
    Encoding::for_label(label.as_bytes()).ok_or_else(|| "its charset is not known here".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_decides_then_the_name_and_utf_8_otherwise() {
        let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for (body, named, expected) in [
            ("Zoë".as_bytes(), None, Ok("Zoë")),
            ("\u{feff}Zoë".as_bytes(), None, Ok("Zoë")),
            ("\u{feff}Zoë".as_bytes(), Some("iso-8859-1"), Ok("Zoë")),
            ("Zoë".as_bytes(), Some("US-ASCII"), Ok("Zoë")),
            ("Zoë".as_bytes(), Some("UTF-8"), Ok("Zoë")),
            (b"Zo\xeb", Some("ISO-8859-1"), Ok("Zoë")),
            (b"\x80", Some("windows-1252"), Ok("€")),
            (b"\xcf\xf2", Some("windows-1251"), Ok("Пт")),
            (b"\xc4\xe3", Some("GBK"), Ok("你")),
            (b"\x93\xfa", Some("Shift_JIS"), Ok("日")),
            (&utf_16("Zoë"), Some("utf-16le"), Ok("Zoë")),
            (&utf_16("\u{feff}Zoë"), None, Ok("Zoë")),
            (&utf_16("\u{feff}Zoë"), Some("utf-8"), Ok("Zoë")),
            (b"\xfe\xff\x00Z", None, Ok("Z")),
            (b"Zo\xeb", None, Err("it is not UTF-8")),
            (b"Zo\xeb", Some("utf-8"), Err("it is not UTF-8")),
            (b"Zo\xeb", Some("ascii"), Err("it is not UTF-8")),
            (b"\xed\xa0\x80", None, Err("it is not UTF-8")),
            (b"Z\x00\x00", Some("utf-16le"), Err("it is not UTF-16LE, which it says it is")),
            (b"\x00\xd8\x00\x00", Some("utf-16le"), Err("it is not UTF-16LE, which it says it is")),
            (b"\x81", Some("GBK"), Err("it is not GBK, which it says it is")),
            (b"x", Some("hz-gb-2312"), Err("it is not replacement, which it says it is")),
            (b"x", Some("klingon"), Err("its charset is not known here")),
            (b"x", Some("utf-7"), Err("its charset is not known here")),
        ] {
            let found = decode(body, named);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{body:?} {named:?}");
        }
    }
}
