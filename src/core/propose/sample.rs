//! The text of a sample: what it is, and what is in it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::core::calls::{Text, read_text};

/// What a sample is.
#[derive(Debug)]
pub(super) enum Format {
    Json,
    Xml,
    Form,
    Jsonp,
    /// A signed token, and what it says of itself.
    Jwt {
        issuer: String,
        audience: String,
    },
}

impl Format {
    /// The name that `decode` has for it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Xml => "xml",
            Format::Form => "form",
            Format::Jsonp => "jsonp",
            Format::Jwt { .. } => "jwt",
        }
    }
}

/// Reads a sample by what it looks like.
pub(super) fn read(text: &str) -> Result<(Format, Value), String> {
    let text = text.trim();
    let parts = text.split('.').count();
    if text.starts_with("eyJ") && parts == 5 {
        return Err("it is an encrypted token, which only the holder of the key can read".into());
    }
    if text.starts_with("eyJ") && parts == 3 {
        return jwt(text);
    }
    let (format, kind) = match text.chars().next() {
        None => return Err("it is empty".into()),
        Some('{' | '[') => (Format::Json, Text::Json),
        Some('<') => (Format::Xml, Text::Xml),
        _ if text.ends_with([')', ';']) => (Format::Jsonp, Text::Jsonp),
        _ => (Format::Form, Text::Form),
    };
    let value = read_text(kind, text).map_err(|why| match format {
        Format::Form => "it is neither JSON, XML, JSONP, a form nor a signed token".to_owned(),
        _ => why,
    })?;
    Ok((format, value))
}

/// The payload of a token. Nothing is verified: the rule will do that.
fn jwt(text: &str) -> Result<(Format, Value), String> {
    let payload = text.split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok();
    let value: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let value = value.filter(Value::is_object).ok_or("it looks like a signed token, and is none")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let issuer = text(&value["iss"]).unwrap_or_else(|| "https://issuer.example".into());
    let audience = text(&value["aud"]).or_else(|| text(&value["aud"][0])).unwrap_or_else(|| "our client id".into());
    Ok((Format::Jwt { issuer, audience }, value))
}
