//! Signed and encrypted tokens: JWS (RFC 7515), JWE (RFC 7516), JWK (RFC 7517), JWA (RFC 7518), JWT (RFC 7519).
//!
//! Pure, and knows nothing of rules: a token, keys and expectations in, claims out. What is accepted is what
//! RFC 8725 recommends: the algorithms are the verifier's choice, a key serves its own kind of algorithm only,
//! and nothing in a token says where its key is.

mod algorithm;
#[cfg(test)]
mod bounds;
mod claims;
mod jwe;
mod keys;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Map, Value};

pub use self::{
    algorithm::Algorithm,
    claims::Expectation,
    jwe::{PrivateKey, decrypt},
    keys::KeySet,
};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 64 * 1024;

/// Why a token is not accepted. The words hold nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not three (or five) parts of base64url, or not JSON inside.
    Malformed,
    /// Longer than a token may be.
    TooLong,
    /// Its algorithm is not among those that are accepted.
    Algorithm,
    /// It uses an extension that must be understood and is not (`crit`, `b64`, `zip`).
    Extension,
    /// It is another kind of token (`typ`).
    Type,
    /// No key of the set can be the one that signed it.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// It was not encrypted for our key, or was changed on the way.
    Encryption,
    /// Another issuer, or none.
    Issuer,
    /// It is for others.
    Audience,
    /// It is no longer valid, or does not say how long it is.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// A claim is not what is expected.
    Claim,
    /// It lacks a scope.
    Scope,
}

impl Failure {
    /// What is wrong, for logs.
    pub fn words(self) -> &'static str {
        match self {
            Failure::Malformed => "it is not a JWT",
            Failure::TooLong => "it is too long",
            Failure::Algorithm => "its algorithm is not accepted",
            Failure::Extension => "it uses an extension that is not understood",
            Failure::Type => "it is another kind of token",
            Failure::UnknownKey => "no key of the issuer fits it",
            Failure::Signature => "its signature is wrong",
            Failure::Encryption => "it cannot be decrypted with our key",
            Failure::Issuer => "it is from another issuer",
            Failure::Audience => "it is for another audience",
            Failure::Expired => "it has expired, or does not say when it does",
            Failure::NotYet => "it is not valid yet",
            Failure::Claim => "it was issued for something else",
            Failure::Scope => "it lacks a scope",
        }
    }
}

/// The protected header, as far as it is understood.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "there")]
    crit: bool,
    b64: Option<bool>,
    enc: Option<String>,
    #[serde(default, deserialize_with = "there")]
    zip: bool,
    epk: Option<Value>,
    apu: Option<String>,
    apv: Option<String>,
}

impl Header {
    fn read(part: &str) -> Result<Header, Failure> {
        let json = decode(part)?;
        // Of a list, serde would take the first item for the first member.
        if !json.starts_with(b"{") {
            return Err(Failure::Malformed);
        }
        let header: Header = serde_json::from_slice(&json).map_err(|_| Failure::Malformed)?;
        match (header.crit, header.b64, header.zip) {
            (false, None | Some(true), false) => Ok(header),
            _ => Err(Failure::Extension),
        }
    }
}

/// True for a member that is there, whatever it says: `null` is no way around either.
fn there<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

fn decode(part: &str) -> Result<Vec<u8>, Failure> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Failure::Malformed)
}

/// A signed JWT in compact form that looks like one which could be verified: that takes no key to find out.
pub struct Signed<'t> {
    /// What is signed.
    text: &'t str,
    algorithm: Algorithm,
    key: Option<String>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signed")
    }
}

/// Takes a token apart, and looks at its header.
///
/// # Errors
/// When it is no JWT, or its algorithm or type is not as expected.
pub fn take_apart<'t>(token: &'t str, expectation: &Expectation) -> Result<Signed<'t>, Failure> {
    if token.len() > MAX_TOKEN {
        return Err(Failure::TooLong);
    }
    let (text, signature) = token.rsplit_once('.').ok_or(Failure::Malformed)?;
    let (header, payload) = text.split_once('.').ok_or(Failure::Malformed)?;
    let header = Header::read(header)?;
    let (payload, signature) = (decode(payload)?, decode(signature)?);
    let algorithm = Algorithm::parse(&header.alg).ok_or(Failure::Algorithm)?;
    if !expectation.algorithms.contains(&algorithm) {
        return Err(Failure::Algorithm);
    }
    expectation.check_type(header.typ.as_deref())?;
    Ok(Signed { text, algorithm, key: header.kid, payload, signature })
}

impl Signed<'_> {
    /// Verifies it, and gives its claims. `now` is the time since 1970.
    ///
    /// # Errors
    /// The first thing that is not as expected; the signature is looked at before any claim.
    pub fn verify(
        &self,
        keys: &KeySet,
        expectation: &Expectation,
        now: std::time::Duration,
    ) -> Result<Map<String, Value>, Failure> {
        keys.verify(self.algorithm, self.key.as_deref(), self.text.as_bytes(), &self.signature)?;
        let claims = claims::read(&self.payload)?;
        expectation.check(&claims, now)?;
        Ok(claims)
    }
}

/// Verifies a signed JWT in compact form, and gives its claims.
///
/// # Errors
/// As [`take_apart`] and [`Signed::verify`].
#[cfg(test)]
pub fn verify(
    token: &str,
    keys: &KeySet,
    expectation: &Expectation,
    now: std::time::Duration,
) -> Result<Map<String, Value>, Failure> {
    take_apart(token, expectation)?.verify(keys, expectation, now)
}

/// True for a text of five parts: an encrypted token in compact form.
pub fn is_encrypted(token: &str) -> bool {
    token.matches('.').count() == 4
}
