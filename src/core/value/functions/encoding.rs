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
