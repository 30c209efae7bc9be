//! What a token has to say: issuer, audience, time, and whatever else is expected.

use std::{fmt, time::Duration};

use serde::{
    Deserializer as _,
    de::{self, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{Algorithm, Failure};

/// What is expected of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// One of these must be the issuer (`iss`), letter for letter; any will do if there are none.
    pub issuer: Vec<String>,
    /// One of these must be in `aud`; any will do if there are none.
    pub audience: Vec<String>,
    /// The kind of token (`typ`).
    pub kind: Option<String>,
    /// It must say when it expires.
    pub expires: bool,
    /// How far the clocks may differ.
    pub leeway: Duration,
    /// Other claims: equal to the text, or, where it is a list, with it inside.
    pub claims: Vec<(String, String)>,
}

impl Expectation {
    /// Looks at the type in the header; `application/` before it may be left out (RFC 7515, section 4.1.9).
    pub(super) fn check_type(&self, found: Option<&str>) -> Result<(), Failure> {
        let plain = |kind: &str| {
            let kind = kind.to_ascii_lowercase();
            kind.strip_prefix("application/").map_or(kind.clone(), str::to_owned)
        };
        match &self.kind {
            Some(wanted) if found.map(plain) != Some(plain(wanted)) => Err(Failure::Type),
            _ => Ok(()),
        }
    }

    /// The claims of a text that nobody signed.
    ///
    /// # Errors
    /// When it is no JSON object, or a claim is not as expected.
    pub fn claims_of(&self, text: &str, now: Duration) -> Result<Map<String, Value>, Failure> {
        let claims = read(text.as_bytes())?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    /// Looks at the claims.
    ///
    /// # Errors
    /// The first that is not as expected.
    pub fn check(&self, claims: &Map<String, Value>, now: Duration) -> Result<(), Failure> {
        if !self.issuer.is_empty() {
            let issuer = claims.get("iss").and_then(Value::as_str);
            if !self.issuer.iter().any(|ours| issuer == Some(ours)) {
                return Err(Failure::Issuer);
            }
        }
        if !self.audience.is_empty() {
            let audience = claims.get("aud").filter(|audience| is_audience(audience));
            if !self.audience.iter().any(|ours| holds(audience, ours)) {
                return Err(Failure::Audience);
            }
        }
        let (now, leeway) = (now.as_secs_f64(), self.leeway.as_secs_f64());
        match time(claims.get("exp"))? {
            Some(expires) if now >= expires + leeway => return Err(Failure::Expired),
            None if self.expires => return Err(Failure::Expired),
            _ => {}
        }
        if let Some(from) = time(claims.get("nbf"))?
            && now + leeway < from
        {
            return Err(Failure::NotYet);
        }
        // What is to be issued some day is no token yet, or its issuer's clock is wrong and with it all other times.
        // Null is not said: nothing depends on it.
        if let Some(issued) = time(claims.get("iat").filter(|issued| !issued.is_null()))?
            && now + leeway < issued
        {
            return Err(Failure::NotYet);
        }
        self.check_others(claims)
    }

    /// Looks at the claims that have no meaning of their own here.
    fn check_others(&self, claims: &Map<String, Value>) -> Result<(), Failure> {
        for (name, expected) in &self.claims {
            let found = claims.get(name);
            match name.as_str() {
                // A list of names with spaces between them (RFC 6749, section 3.3); all that are expected must be there.
                "scope" | "scp" => {
                    let given = |scope: &str| match found {
                        Some(Value::String(text)) => text.split(' ').any(|one| one == scope),
                        found => holds(found, scope),
                    };
                    if !expected.split_ascii_whitespace().all(given) {
                        return Err(Failure::Scope);
                    }
                }
                _ if !holds(found, expected) => return Err(Failure::Claim),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The claims of a token. A name that comes twice is refused (RFC 7519, section 4): another reader of the same token
/// may take the other one.
pub(super) fn read(json: &[u8]) -> Result<Map<String, Value>, Failure> {
    struct Claims;

    impl<'de> Visitor<'de> for Claims {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut claims = Map::new();
            while let Some((name, value)) = members.next_entry()? {
                if claims.insert(name, value).is_some() {
                    return Err(de::Error::custom("a name comes twice"));
                }
            }
            Ok(claims)
        }
    }

    let mut json = serde_json::Deserializer::from_slice(json);
    let claims = json.deserialize_map(Claims).map_err(|_| Failure::Malformed)?;
    json.end().map_err(|_| Failure::Malformed)?;
    Ok(claims)
}

/// Text, or a list of text (RFC 7519, section 4.1.3).
fn is_audience(found: &Value) -> bool {
    found.is_string() || found.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

/// True if a claim is this text, or a list with it inside.
fn holds(found: Option<&Value>, expected: &str) -> bool {
    match found {
        Some(Value::String(text)) => text == expected,
        Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(expected)),
        Some(Value::Number(number)) => number.as_str() == expected,
        Some(Value::Bool(flag)) => expected.parse() == Ok(*flag),
        Some(Value::Null | Value::Object(_)) | None => false,
    }
}

/// A NumericDate (RFC 7519, section 2).
fn time(found: Option<&Value>) -> Result<Option<f64>, Failure> {
    match found {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|time| time.is_finite()).map(Some).ok_or(Failure::Malformed),
    }
}
