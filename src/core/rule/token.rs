//! `[token]`, and what is said of JWTs there and in `decode`, as written.

use toml::de::DeValue;

use super::{
    text::{Fields, Key, Reader, Text},
    words,
};
use crate::core::problem::Span;

/// `[token]`: what the caller's token must be before any call runs.
#[derive(Debug)]
pub enum Token {
    /// A JWT that is verified here.
    Jwt(Jwt),
    /// Asked at the issuer (RFC 7662).
    Introspect(Introspect),
    /// A call of the rule that goes first.
    Call(Text),
}

/// How a JWT is verified.
#[derive(Debug)]
pub struct Jwt {
    /// Where the table stands.
    pub span: Span,
    /// Where the issuer's keys are.
    pub jwks: Option<Text>,
    /// A secret that is shared with the issuer, for HMAC.
    pub secret: Option<Text>,
    /// Our own key, for a token that is encrypted.
    pub decrypt: Option<Text>,
    /// One of these must be `iss`.
    pub issuer: Vec<Text>,
    /// One of these must be in `aud`.
    pub audience: Vec<Text>,
    /// The signature algorithms that are accepted.
    pub algorithms: Vec<Text>,
    /// `typ` of the header.
    pub kind: Option<Text>,
    /// How far clocks may differ.
    pub leeway: Option<Text>,
    /// Other claims.
    pub expect: Vec<(Key, Text)>,
}

/// Where and how a token is asked for.
#[derive(Debug)]
pub struct Introspect {
    /// The introspection endpoint.
    pub url: Text,
    /// Where the table stands.
    pub span: Span,
    /// `Authorization: Bearer …`.
    pub bearer: Option<Text>,
    /// User-id and password (RFC 7617).
    pub basic: Option<(Text, Text)>,
    /// `token_type_hint`.
    pub hint: Option<Text>,
    /// Members of the answer.
    pub expect: Vec<(Key, Text)>,
}

pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Token> {
    let table = reader.table(fields, "token", "[token]")?;
    let sound = reader.known(&table, &words::TOKEN);
    let ways: Vec<_> = ["jwt", "introspect", "call"].into_iter().filter(|way| table.has(way)).collect();
    match ways[..] {
        ["jwt"] => jwt(reader, &table, "token.jwt", false).map(Token::Jwt),
        ["introspect"] => introspect(reader, &table).map(Token::Introspect),
        ["call"] => reader.text(&table, "call").map(Token::Call),
        _ => {
            if sound || !ways.is_empty() {
                let label = if ways.is_empty() { "none is named" } else { "several are named" };
                let help =
                    "`jwt = { jwks, issuer, audience }`, `introspect = { url, auth, expect }` or `call = \"NAME\"`";
                reader.bad_value(table.span(), "exactly one way to verify the token is wanted here", label, help);
            }
            None
        }
    }
}

/// A table `jwt`; only an answer may be encrypted for us.
pub(super) fn jwt(reader: &mut Reader<'_>, fields: &Fields<'_>, what: &str, answer: bool) -> Option<Jwt> {
    let table = reader.table(fields, "jwt", what)?;
    reader.known(&table, if answer { &words::ANSWER_JWT } else { &words::JWT });
    Some(Jwt {
        span: table.span(),
        jwks: reader.text(&table, "jwks"),
        secret: reader.text(&table, "secret"),
        decrypt: if answer { reader.text(&table, "decrypt") } else { None },
        issuer: one_or_more(reader, &table, "issuer"),
        audience: one_or_more(reader, &table, "audience"),
        algorithms: one_or_more(reader, &table, "algorithms"),
        kind: reader.text(&table, "typ"),
        leeway: reader.text(&table, "leeway"),
        expect: expect(reader, &table),
    })
}

fn introspect(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Introspect> {
    let table = reader.table(fields, "introspect", "token.introspect")?;
    reader.known(&table, &words::INTROSPECT);
    let url = reader.required_text(&table, "url", "name the introspection endpoint: `url = \"https://…\"`");
    let help = "write `auth = { basic = { user = …, password = … } }` or `auth = { bearer = … }`";
    let (mut bearer, mut basic) = (None, None);
    match reader.table(&table, "auth", "token.introspect.auth") {
        None => reader.missing(&table, "auth", help),
        Some(auth) => {
            reader.known(&auth, &words::INTROSPECT_AUTH);
            bearer = reader.text(&auth, "bearer");
            if let Some(pair) = reader.table(&auth, "basic", "token.introspect.auth.basic") {
                reader.known(&pair, &words::INTROSPECT_BASIC);
                let user = reader.required_text(&pair, "user", help);
                let password = reader.required_text(&pair, "password", help);
                basic = user.zip(password);
            }
            if auth.has("basic") == auth.has("bearer") {
                reader.bad_value(auth.span(), "exactly one kind of credentials is wanted here", "none or both", help);
            }
        }
    }
    let hint = reader.text(&table, "token_type_hint");
    Some(Introspect { url: url?, span: table.span(), bearer, basic, hint, expect: expect(reader, &table) })
}

fn one_or_more(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<Text> {
    match fields.get(key).map(toml::Spanned::get_ref) {
        Some(DeValue::String(_)) => reader.text(fields, key).into_iter().collect(),
        _ => reader.texts(fields, key),
    }
}

fn expect(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<(Key, Text)> {
    let Some(table) = reader.table(fields, "expect", "expect") else { return Vec::new() };
    let entries = table.entries().into_iter();
    entries.filter_map(|(key, value)| Some((key, reader.as_text(value, "expect")?))).collect()
}
