//! The caller's token: where it stands in the request, and whether it can be forwarded.

mod check;

use std::time::Duration;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::check::{Check, Unverified, compile};
use super::message::{Request, Secret};

/// A bearer token as it was received.
#[derive(Clone, Debug)]
pub struct Token(Source);

#[derive(Clone, Debug)]
enum Source {
    /// An `Authorization` field, marked sensitive, and the token in it.
    Header { field: HeaderValue, token: Secret },
    /// A parameter of a form or query.
    Parameter(Secret),
}

/// Why a request has no token that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No token at all, or credentials of another kind.
    Missing,
    /// Something that is no token.
    Malformed,
    /// A token in more than one place.
    Twice,
    /// A token in the query, which the settings do not allow.
    InQuery,
    /// A DPoP token, or one with a `cnf` claim.
    Bound,
}

/// Authorization schemes that never carry a token.
const OTHER_SCHEMES: [&str; 6] = ["basic", "digest", "negotiate", "ntlm", "mutual", "hoba"];

impl Token {
    /// Finds the token: in `Authorization` (RFC 6750, section 2.1), in a form body (2.2), or, where
    /// allowed, in the query (2.3).
    ///
    /// The scheme may be any: providers answer all sorts of `token_type`, and some
    /// auth servers repeat it here.
    ///
    /// # Errors
    /// When there is not exactly one usable token.
    pub fn receive(request: &Request, allow_query: bool) -> Result<Token, Failure> {
        let from_form = form_token(request)?;
        let from_query = one_parameter(request.uri().query().unwrap_or_default().as_bytes())?;
        if from_query.is_some() && !allow_query {
            return Err(Failure::InQuery);
        }
        let from_header = header_token(request.headers())?;
        let parameter = |value: String| Token(Source::Parameter(Secret::new(value)));
        let mut found = [from_header, from_form.map(parameter), from_query.map(parameter)].into_iter().flatten();
        let token = found.next().ok_or(Failure::Missing)?;
        if found.next().is_some() {
            return Err(Failure::Twice);
        }
        if !is_token(token.value()) {
            return Err(Failure::Malformed);
        }
        if is_bound(token.value()) {
            return Err(Failure::Bound);
        }
        Ok(token)
    }

    /// Where it was found, for people.
    pub fn words(&self) -> &'static str {
        match &self.0 {
            Source::Header { .. } => "the token came in the header Authorization",
            Source::Parameter(_) => "the token came as the parameter `access_token`",
        }
    }

    /// The token itself.
    pub fn value(&self) -> &str {
        match &self.0 {
            Source::Header { token, .. } | Source::Parameter(token) => token.expose(),
        }
    }

    /// When it ends, since 1970, if it is a JWT and says so. Nothing is verified: whoever wrote it can only shorten how
    /// long answers to it are kept.
    pub fn expires(&self) -> Option<Duration> {
        payload::<Map<String, Value>>(self.value()).and_then(|claims| expiry(&claims))
    }

    /// `Bearer TOKEN`.
    pub fn as_bearer(&self) -> Option<HeaderValue> {
        match &self.0 {
            // The field reads so letter for letter: it is handed on as it is.
            Source::Header { field, token }
                if field.as_bytes().strip_prefix(b"Bearer ") == Some(token.expose().as_bytes()) =>
            {
                Some(field.clone())
            }
            _ => credentials("Bearer", self.value()),
        }
    }

    /// The `Authorization` field as it was received; `Bearer TOKEN` for a token that came otherwise.
    pub fn as_received(&self) -> Option<HeaderValue> {
        match &self.0 {
            Source::Header { field, .. } => Some(field.clone()),
            Source::Parameter(value) => credentials("Bearer", value.expose()),
        }
    }
}

/// A header value `SCHEME TOKEN`, or the bare token for an empty scheme.
pub fn credentials(scheme: &str, token: &str) -> Option<HeaderValue> {
    let text = if scheme.is_empty() { token.to_owned() } else { format!("{scheme} {token}") };
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// HTTP Basic as OAuth wants it of a client: each part is form-encoded first (RFC 6749, section 2.3.1).
pub fn client_credentials(id: &str, secret: &str) -> Option<HeaderValue> {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    credentials("Basic", &BASE64_STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

fn header_token(headers: &HeaderMap) -> Result<Option<Token>, Failure> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Failure::Twice);
    }
    let text = field.to_str().map_err(|_| Failure::Malformed)?;
    let (scheme, value) = text.split_once(' ').ok_or(Failure::Malformed)?;
    if OTHER_SCHEMES.iter().any(|other| scheme.eq_ignore_ascii_case(other)) {
        return Ok(None);
    }
    if scheme.eq_ignore_ascii_case("dpop") {
        return Err(Failure::Bound);
    }
    let value = value.trim_matches(' ');
    if scheme.is_empty() || value.is_empty() {
        return Err(Failure::Malformed);
    }
    let token = Secret::new(value);
    let mut field = field.clone();
    field.set_sensitive(true);
    Ok(Some(Token(Source::Header { field, token })))
}

/// RFC 6750, section 2.2: only for a POST with a form body.
fn form_token(request: &Request) -> Result<Option<String>, Failure> {
    if request.method() != http::Method::POST {
        return Ok(None);
    }
    let is_form = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if is_form { one_parameter(request.body()) } else { Ok(None) }
}

fn one_parameter(form: &[u8]) -> Result<Option<String>, Failure> {
    if form.is_empty() {
        return Ok(None);
    }
    let mut values = url::form_urlencoded::parse(form).filter(|(name, _)| name == "access_token");
    let first = values.next().map(|(_, value)| value.into_owned());
    if values.next().is_some() { Err(Failure::Twice) } else { Ok(first) }
}

/// Visible ASCII without separators that no token has. Wider than `b64token` of RFC 6750,
/// which real providers do not keep to.
fn is_token(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'"')
}

/// True for a JWT that says it is bound to a key (RFC 7800, RFC 8705, RFC 9449): forwarding it
/// proves nothing, and the upstream would refuse it with a misleading reason.
fn is_bound(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        cnf: Option<serde::de::IgnoredAny>,
    }
    payload::<Claims>(token).is_some_and(|claims| claims.cnf.is_some())
}

/// The claims of a signed JWT, without trust.
fn payload<T: DeserializeOwned>(token: &str) -> Option<T> {
    // Every JWT header is a JSON object, so it starts with `{"`: anything else need not be decoded.
    if !token.starts_with("ey") {
        return None;
    }
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    // Of a list, serde would take the first item for the first member.
    json.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(&json).ok())?
}

/// `exp` of claims (RFC 7519, section 4.1.4), since 1970. One that is there and is no number of seconds has passed.
pub fn expiry(claims: &Map<String, Value>) -> Option<Duration> {
    let end = claims.get("exp").filter(|end| !end.is_null())?;
    let seconds = match end {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite()).unwrap_or_default();
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn receive(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str) -> Result<String, Failure> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from_static(body.as_bytes())).expect("a sound request");
        Token::receive(&request, false).map(|token| token.value().to_owned())
    }

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

    #[test]
    fn a_token_is_found_where_rfc_6750_says() {
        for (method, uri, headers, body, expected) in [
            ("GET", "/a", &[("authorization", "Bearer abc")][..], "", Ok("abc")),
            ("GET", "/a", &[("authorization", "bearer  abc")], "", Ok("abc")),
            ("GET", "/a", &[("authorization", "token abc")], "", Ok("abc")),
            ("POST", "/a", &[FORM], "x=1&access_token=a%2Bb", Ok("a+b")),
            ("GET", "/a", &[FORM], "access_token=abc", Err(Failure::Missing)),
            ("POST", "/a", &[], "access_token=abc", Err(Failure::Missing)),
            ("GET", "/a", &[], "", Err(Failure::Missing)),
            ("GET", "/a", &[("authorization", "Basic YTpi")], "", Err(Failure::Missing)),
            ("GET", "/a", &[("authorization", "Bearer")], "", Err(Failure::Malformed)),
            ("GET", "/a", &[("authorization", "Bearer ")], "", Err(Failure::Malformed)),
            ("GET", "/a", &[("authorization", "Bearer a b")], "", Err(Failure::Malformed)),
            ("GET", "/a", &[("authorization", "Bearer a"), ("authorization", "Bearer a")], "", Err(Failure::Twice)),
            ("POST", "/a", &[FORM, ("authorization", "Bearer a")], "access_token=a", Err(Failure::Twice)),
            ("POST", "/a", &[FORM], "access_token=a&access_token=a", Err(Failure::Twice)),
            ("GET", "/a?access_token=abc", &[], "", Err(Failure::InQuery)),
            ("GET", "/a", &[("authorization", "DPoP abc")], "", Err(Failure::Bound)),
            // {"cnf":{"jkt":"x"}}
            ("GET", "/a", &[("authorization", "Bearer eyJ.eyJjbmYiOnsiamt0IjoieCJ9fQ.s")], "", Err(Failure::Bound)),
            // {"sub":"cnf"}
            ("GET", "/a", &[("authorization", "Bearer eyJ.eyJzdWIiOiJjbmYifQ.s")], "", Ok("eyJ.eyJzdWIiOiJjbmYifQ.s")),
        ] {
            assert_eq!(receive(method, uri, headers, body), expected.map(str::to_owned), "{uri} {headers:?} {body}");
        }
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let token = |claims: &str| {
            let text = format!("eyJhbGciOiJub25lIn0.{}.s", BASE64_URL_SAFE_NO_PAD.encode(claims));
            Token(Source::Parameter(Secret::new(text)))
        };
        for (claims, expected) in [
            (r#"{"exp":1767225600}"#, Some(1_767_225_600)),
            (r#"{"exp":1767225600.9}"#, Some(1_767_225_600)),
            (r#"{"exp":"1767225600"}"#, Some(1_767_225_600)),
            (r#"{"exp":1e300}"#, Some(u64::MAX)),
            (r#"{"exp":-1}"#, Some(0)),
            (r#"{"exp":"soon"}"#, Some(0)),
            (r#"{"exp":true}"#, Some(0)),
            (r#"{"exp":null}"#, None),
            (r#"{"sub":"x"}"#, None),
            ("[1]", None),
        ] {
            assert_eq!(token(claims).expires().map(|end| end.as_secs()), expected, "{claims}");
        }
        let opaque = Token(Source::Parameter(Secret::new("t0ken")));
        assert_eq!(opaque.expires(), None);
    }

    #[test]
    fn id_and_secret_are_form_encoded_before_they_are_basic() {
        let value = client_credentials("a:b", "p w&é").expect("a header");
        let encoded = value.to_str().expect("ASCII").strip_prefix("Basic ").expect("the scheme").to_owned();
        assert_eq!(BASE64_STANDARD.decode(encoded).expect("base64"), b"a%3Ab:p+w%26%C3%A9");
    }
}
