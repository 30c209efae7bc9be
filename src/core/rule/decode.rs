//! `decode` of a call as written.

use toml::de::DeValue;

use super::{
    text::{Fields, Reader, Text},
    token::{self, Jwt},
    words,
};
use crate::core::problem::Span;

/// How a call's answers are read.
#[derive(Debug)]
pub struct Decode {
    /// The format.
    pub format: Format,
    /// Where it is named.
    pub span: Span,
}

/// The formats of answers.
#[derive(Debug)]
pub enum Format {
    /// JSON.
    Json,
    /// One text.
    Text,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// JSON in the call of a function.
    Jsonp,
    /// XML; these elements are arrays also where there is only one.
    Xml {
        /// Names of elements.
        lists: Vec<Text>,
    },
    /// A picture, as text.
    DataUri,
    /// A signed or encrypted JWT.
    Jwt(Box<Jwt>),
}

const HELP: &str = "one of `\"json\"`, `\"text\"`, `\"form\"`, `\"jsonp\"`, `\"xml\"`, `\"data_uri\"`, \
    `{ xml = { lists = […] } }`, `{ jwt = { jwks, issuer, audience } }`";

pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Decode> {
    let value = fields.get("decode")?;
    let span = value.span();
    let format = match value.get_ref() {
        DeValue::String(name) => match name.as_ref() {
            "json" => Format::Json,
            "text" => Format::Text,
            "form" => Format::Form,
            "jsonp" => Format::Jsonp,
            "xml" => Format::Xml { lists: Vec::new() },
            "data_uri" => Format::DataUri,
            "jwt" => {
                let help = "write `decode = { jwt = { jwks = \"https://…\", issuer = \"…\", audience = \"…\" } }`";
                reader.bad_value(span, "a JWT is verified, which needs to be told how", "no keys", help);
                return None;
            }
            other => {
                reader.bad_value(span, format!("not a format of an answer: `{other}`"), "unknown", HELP);
                return None;
            }
        },
        DeValue::Table(_) => {
            let table = reader.as_table(value, "decode")?;
            with_options(reader, &table)?
        }
        _ => {
            reader.wrong_type("decode", value, "the name of a format, or a table with its options");
            return None;
        }
    };
    Some(Decode { format, span })
}

/// `{ FORMAT = { … } }`.
fn with_options(reader: &mut Reader<'_>, table: &Fields<'_>) -> Option<Format> {
    let sound = reader.known(table, &words::DECODE);
    match (table.has("xml"), table.has("jwt")) {
        (true, false) => {}
        (false, true) => return token::jwt(reader, table, "decode.jwt", true).map(|jwt| Format::Jwt(Box::new(jwt))),
        (both, _) => {
            if sound {
                let label = if both { "both are set here" } else { "none is named" };
                reader.bad_value(table.span(), "exactly one format is wanted here", label, HELP);
            }
            return None;
        }
    }
    let options = reader.table(table, "xml", "decode.xml")?;
    reader.known(&options, &words::XML);
    Some(Format::Xml { lists: reader.texts(&options, "lists") })
}
