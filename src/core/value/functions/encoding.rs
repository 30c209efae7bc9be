//! Bytes as text, and back.

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rhai::Dynamic;

use super::{Call, Raw};

/// Padding is often cut off, and sometimes kept where it does not belong.
const TOLERANT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
pub(super) const FOR_ADDRESSES: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn base64(call: &Call<'_>) -> Raw<Dynamic> {
    made(call, |text| BASE64_STANDARD.encode(text))
}

pub(super) fn base64url(call: &Call<'_>) -> Raw<Dynamic> {
    made(call, |text| BASE64_URL_SAFE_NO_PAD.encode(text))
}

pub(super) fn base64_decode(call: &Call<'_>) -> Raw<Dynamic> {
    read(call, "base64", |text| STANDARD.decode(text).ok())
}

pub(super) fn base64url_decode(call: &Call<'_>) -> Raw<Dynamic> {
    read(call, "base64 for addresses", |text| FOR_ADDRESSES.decode(text).ok())
}

pub(super) fn hex(call: &Call<'_>) -> Raw<Dynamic> {
    made(call, |text| digits(text.as_bytes()))
}

pub(super) fn hex_decode(call: &Call<'_>) -> Raw<Dynamic> {
    read(call, "hexadecimal digits", |text| {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
        pairs.iter().map(byte).collect::<Option<Vec<_>>>().filter(|_| rest.is_empty())
    })
}

pub(super) fn url_encode(call: &Call<'_>) -> Raw<Dynamic> {
    made(call, |text| utf8_percent_encode(text, RESERVED).to_string())
}

pub(super) fn url_decode(call: &Call<'_>) -> Raw<Dynamic> {
    read(call, "percent-encoding", |text| Some(percent_decode_str(text).collect()))
}

/// Bytes in hexadecimal.
pub(super) fn digits(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(pair).map(char::from).collect()
}

/// What is made of a text; no more than three times as long.
fn made(call: &Call<'_>, make: impl FnOnce(&str) -> String) -> Raw<Dynamic> {
    Ok(make(&call.text(0)?).into())
}

/// The text that some encoding stands for. Scripts have no type for other bytes.
fn read(call: &Call<'_>, what: &str, read: impl FnOnce(&str) -> Option<Vec<u8>>) -> Raw<Dynamic> {
    let bytes = read(&call.text(0)?).ok_or_else(|| call.wants(0, what))?;
    let text = String::from_utf8(bytes).map_err(|_| call.fault("finds bytes that are no text (UTF-8)"))?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, run};

    /// RFC 4648, section 10.
    #[test]
    fn encodings_are_those_of_the_standard_and_come_back() {
        for (text, base64, hex) in [
            ("", "", ""),
            ("f", "Zg==", "66"),
            ("fo", "Zm8=", "666f"),
            ("foo", "Zm9v", "666f6f"),
            ("foob", "Zm9vYg==", "666f6f62"),
            ("fooba", "Zm9vYmE=", "666f6f6261"),
            ("foobar", "Zm9vYmFy", "666f6f626172"),
        ] {
            let bare = base64.trim_end_matches('=');
            for (expression, expected) in [
                (format!("base64(\"{text}\")"), base64),
                (format!("base64url(\"{text}\")"), bare),
                (format!("hex(\"{text}\")"), hex),
                (format!("base64_decode(\"{base64}\")"), text),
                (format!("base64_decode(\"{bare}\")"), text),
                (format!("base64url_decode(\"{base64}\")"), text),
                (format!("base64url_decode(\"{bare}\")"), text),
                (format!("hex_decode(\"{hex}\")"), text),
                (format!("hex_decode(\"{}\")", hex.to_uppercase()), text),
                (format!("url_decode(url_encode(\"{text}\"))"), text),
            ] {
                assert_eq!(run(&expression), Ok(format!("\"{expected}\"")), "{expression}");
            }
        }
    }

    #[test]
    fn what_is_not_encoded_so_or_is_no_text_is_refused() {
        check(&[
            ("base64_decode(\"a*b\")", "!`base64_decode` wants base64 as `text`"),
            ("base64_decode(\"_-8\")", "!`base64_decode` wants base64 as `text`"),
            ("base64_decode(\"A\")", "!`base64_decode` wants base64 as `text`"),
            ("base64_decode(\"/w==\")", "!`base64_decode` finds bytes that are no text (UTF-8)"),
            ("base64url_decode(\"+/8\")", "!`base64url_decode` wants base64 for addresses as `text`"),
            ("hex_decode(\"4\")", "!`hex_decode` wants hexadecimal digits as `text`"),
            ("hex_decode(\"4g\")", "!`hex_decode` wants hexadecimal digits as `text`"),
            ("hex_decode(\"é\")", "!`hex_decode` wants hexadecimal digits as `text`"),
            ("hex_decode(\"ff\")", "!`hex_decode` finds bytes that are no text (UTF-8)"),
            ("url_decode(\"%ff\")", "!`url_decode` finds bytes that are no text (UTF-8)"),
            ("url_decode(\"100%+%4\")", "\"100%+%4\""),
            ("url_decode(\"%D0%98%D0%B2%D0%B0%D0%BD\")", "\"Иван\""),
            ("url_encode(\"-._~!\")", "\"-._~%21\""),
        ]);
    }

    #[test]
    fn a_text_that_grows_past_its_bound_is_refused() {
        let told = run("let s = \"\"; s.pad(16000, \"é\"); hex(s)").expect_err("it is too long");
        assert!(told.contains("too large") || told.contains("Length of string"), "{told}");
    }
}
