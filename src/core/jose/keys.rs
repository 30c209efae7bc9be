//! Public keys of issuers, as JWK sets (RFC 7517) have them, ready to verify.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::{BoxedUint, PublicKey};
use serde::Deserialize;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Algorithm, Failure};

/// Keys in one set, and bytes of it; the issuers with the most have a few dozen.
const MAX_KEYS: usize = 100;
const MAX_BYTES: usize = 256 * 1024;
/// Keys that are tried for a token that does not name one.
const MAX_TRIES: usize = 8;
/// RSA keys below this are broken (RFC 7518, section 3.3); ones above make a verification expensive.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// The keys of an issuer.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Of the text that it was read from: two sets are the same if their texts are.
    print: [u8; 32],
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it may be used with, if the set says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Rsa(Box<PublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// Of our own configuration; a set that is fetched has none.
    Symmetric(Box<[u8]>),
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<serde_json::Value>,
}

/// A JWK, as far as it is understood.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys of kinds that are not known here are skipped (RFC 7517, section 5).
    ///
    /// # Errors
    /// What is wrong with the set as a whole.
    pub fn parse(text: &[u8]) -> Result<KeySet, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("it is too large for a key set");
        }
        let written: Written = serde_json::from_slice(text).map_err(|_| "it is no JWK set")?;
        if written.keys.len() > MAX_KEYS {
            return Err("it has too many keys");
        }
        let keys: Vec<_> = written.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        let keys: Vec<_> = keys.iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err("it has no key that can verify a signature");
        }
        Ok(KeySet { keys, print: Sha256::digest(text).into() })
    }

    /// One secret that we share with the issuer.
    pub fn symmetric(secret: &[u8]) -> KeySet {
        let key = Key { id: None, algorithm: None, material: Material::Symmetric(secret.into()) };
        KeySet { keys: vec![key], print: Sha256::digest(secret).into() }
    }

    /// Verifies a signature with the key of this id, or, without one, with each that fits the algorithm.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Failure> {
        let fits = |key: &&Key| key.serves(algorithm) && (id.is_none() || key.id.is_none() || key.id.as_deref() == id);
        let mut fitting = self.keys.iter().filter(fits).take(MAX_TRIES).peekable();
        if fitting.peek().is_none() {
            return Err(Failure::UnknownKey);
        }
        match fitting.any(|key| key.verify(algorithm, message, signature)) {
            true => Ok(()),
            // Without a name it may be of a key that the set does not have yet.
            false if id.is_none() && !algorithm.is_symmetric() => Err(Failure::UnknownKey),
            false => Err(Failure::Signature),
        }
    }
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}

impl Key {
    fn read(jwk: &Jwk) -> Option<Key> {
        let verifies = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies {
            return None;
        }
        // A key for an algorithm that is not known here is no key for another.
        let algorithm = match &jwk.alg {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        Some(Key { id: jwk.kid.clone(), algorithm, material: Material::read(jwk)? })
    }

    fn serves(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        self.algorithm.is_none_or(|own| own == algorithm)
            && match self.material {
                Material::Rsa(_) => {
                    matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
                }
                Material::P256(_) => algorithm == A::Es256,
                Material::P384(_) => algorithm == A::Es384,
                Material::P521(_) => algorithm == A::Es512,
                Material::Ed25519(_) => algorithm == A::EdDsa,
                Material::Symmetric(_) => algorithm.is_symmetric(),
            }
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => rsa(key, algorithm, message, signature),
            Material::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Material::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Material::Symmetric(secret) => match algorithm {
                Algorithm::Hs256 => hmac::<Hmac<Sha256>>(secret, message, signature),
                Algorithm::Hs384 => hmac::<Hmac<Sha384>>(secret, message, signature),
                Algorithm::Hs512 => hmac::<Hmac<Sha512>>(secret, message, signature),
                _ => false,
            },
        }
    }
}

fn rsa(key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    let verified = match algorithm {
        Algorithm::Rs256 => key.pkcs1v15_verify::<Sha256>(message, signature),
        Algorithm::Rs384 => key.pkcs1v15_verify::<Sha384>(message, signature),
        Algorithm::Rs512 => key.pkcs1v15_verify::<Sha512>(message, signature),
        Algorithm::Ps256 => key.pss_verify::<Sha256>(message, signature),
        Algorithm::Ps384 => key.pss_verify::<Sha384>(message, signature),
        Algorithm::Ps512 => key.pss_verify::<Sha512>(message, signature),
        _ => return false,
    };
    verified.is_ok()
}

/// Compares in constant time.
fn hmac<M: Mac + KeyInit>(secret: &[u8], message: &[u8], signature: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
}

impl Material {
    fn read(jwk: &Jwk) -> Option<Material> {
        let bytes = |part: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(part.as_deref()?).ok();
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let number = |part: &Option<String>| Some(BoxedUint::from_be_slice_vartime(&bytes(part)?));
                let (n, e) = (number(&jwk.n)?, number(&jwk.e)?);
                RSA_BITS.contains(&n.bit_width_vartime()).then_some(())?;
                PublicKey::new(n, e).ok().map(|key| Material::Rsa(Box::new(key)))
            }
            ("EC", Some(curve)) => {
                // SEC 1, section 2.3.3: a point that is not compressed.
                let point = [&[4], &*bytes(&jwk.x)?, &*bytes(&jwk.y)?].concat();
                match curve {
                    "P-256" => {
                        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                        Some(Material::P256(Box::new(key)))
                    }
                    "P-384" => {
                        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                        Some(Material::P384(Box::new(key)))
                    }
                    "P-521" => {
                        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                        Some(Material::P521(Box::new(key)))
                    }
                    _ => None,
                }
            }
            ("OKP", Some("Ed25519")) => {
                let point = bytes(&jwk.x)?.try_into().ok()?;
                ed25519_dalek::VerifyingKey::from_bytes(&point).ok().map(|key| Material::Ed25519(Box::new(key)))
            }
            _ => None,
        }
    }
}
