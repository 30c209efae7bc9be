//! `data_uri`: a picture as text, for providers that give it only to who has the token.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::content_type::ContentType;

/// Bytes of a picture: a claim of more is of no use to anybody.
const MAX_PICTURE: usize = 256 * 1024;

/// Reads a picture as `data:image/…;base64,…` (RFC 2397).
pub(super) fn read(content_type: &ContentType<'_>, body: &[u8]) -> Result<Value, String> {
    if body.len() > MAX_PICTURE {
        return Err(format!("it is a picture of more than {MAX_PICTURE} bytes"));
    }
    let kind = kind(content_type, body)?;
    let mut text = format!("data:{kind};base64,");
    BASE64_STANDARD.encode_string(body, &mut text);
    Ok(Value::String(text))
}

/// The bytes tell what it is; for kinds that are not known here the Content-Type does.
fn kind(content_type: &ContentType<'_>, body: &[u8]) -> Result<String, String> {
    if let Some(kind) = known(body) {
        return Ok(kind.to_owned());
    }
    let named = content_type.essence.to_ascii_lowercase();
    let subtype = named.strip_prefix("image/").ok_or("it is no picture")?;
    if subtype.starts_with("svg") {
        return Err("it is SVG, which can hold scripts".into());
    }
    // One of the known kinds would have been known by its bytes.
    let lies = ["png", "jpeg", "jpg", "gif", "webp", "bmp", "avif", "heic", "tiff", "x-icon"].contains(&subtype);
    let is_text = body.trim_ascii_start().first().is_none_or(|first| b"<{[".contains(first));
    let is_name = !subtype.is_empty()
        && subtype.len() <= 64
        && subtype.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    if lies || is_text || !is_name { Err("it is no picture".into()) } else { Ok(named) }
}

fn known(body: &[u8]) -> Option<&'static str> {
    let at = |from: usize, bytes: &[u8]| body.get(from..).is_some_and(|rest| rest.starts_with(bytes));
    Some(match body {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if at(0, b"\xff\xd8\xff") => "image/jpeg",
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        _ if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        _ if at(4, b"ftypavif") => "image/avif",
        _ if at(4, b"ftypheic") || at(4, b"ftypheix") => "image/heic",
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => "image/tiff",
        _ if at(0, b"BM") && at(6, &[0; 4]) => "image/bmp",
        _ if at(0, b"\0\0\x01\0") => "image/x-icon",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn kind_of(named: &'static str, body: &[u8]) -> Result<String, String> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(named))]);
        kind(&ContentType::of(&headers), body)
    }

    #[test]
    fn the_bytes_tell_what_a_picture_is() {
        for (named, body, expected) in [
            ("image/png", &b"\x89PNG\r\n\x1a\n..."[..], Ok("image/png")),
            ("image/png", b"\xff\xd8\xff\xe0", Ok("image/jpeg")),
            ("application/octet-stream", b"GIF89a", Ok("image/gif")),
            ("", b"RIFF\0\0\0\0WEBPVP8 ", Ok("image/webp")),
            ("text/html", b"\0\0\0\x20ftypavif", Ok("image/avif")),
            ("image/vnd.acme; q=1", b"\x01\x02", Ok("image/vnd.acme")),
            ("Image/JXL", b"\xff\x0a", Ok("image/jxl")),
            ("image/png", b"<html>", Err("it is no picture")),
            ("image/png", b"garbage", Err("it is no picture")),
            ("image/vnd.acme", b" {\"error\":1}", Err("it is no picture")),
            ("image/", b"x", Err("it is no picture")),
            ("image/a b", b"x", Err("it is no picture")),
            ("image/a,b\"", b"x", Err("it is no picture")),
            ("application/octet-stream", b"RIFF\0\0\0\0WAVE", Err("it is no picture")),
            ("text/plain", b"BMW", Err("it is no picture")),
            ("", b"", Err("it is no picture")),
            ("image/svg+xml", b"<svg/>", Err("it is SVG, which can hold scripts")),
        ] {
            let found = kind_of(named, body);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{named} {body:?}");
        }
    }

    #[test]
    fn a_picture_has_a_bound() {
        let mut body = b"\x89PNG\r\n\x1a\n".to_vec();
        let nothing = HeaderMap::new();
        let none = ContentType::of(&nothing);
        assert_eq!(read(&none, &body), Ok(Value::from("data:image/png;base64,iVBORw0KGgo=")));
        body.resize(MAX_PICTURE, 0);
        assert!(read(&none, &body).is_ok());
        body.push(0);
        assert_eq!(read(&none, &body), Err("it is a picture of more than 262144 bytes".into()));
    }
}
