//! Encrypted tokens for our own key: RSA-OAEP-256 and ECDH-ES, with AES-GCM (RFC 7518, sections 4 and 5).

use std::fmt;

use aes_gcm::{
    Aes128Gcm, Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use p256::{NonZeroScalar, ProjectivePoint, elliptic_curve::point::AffineCoordinates, pkcs8::DecodePrivateKey};
use rsa::{BoxedUint, pkcs1::DecodeRsaPrivateKey, traits::PublicKeyParts as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Failure, Header, MAX_TOKEN, decode};

/// Our own key, for what others encrypt for us.
#[derive(Clone)]
pub struct PrivateKey(Kind);

#[derive(Clone)]
enum Kind {
    Rsa(Box<rsa::PrivateKey>),
    P256(Box<p256::SecretKey>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private key]")
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Rsa(one), Kind::Rsa(other)) => one.as_public_key() == other.as_public_key(),
            (Kind::P256(one), Kind::P256(other)) => one.public_key() == other.public_key(),
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
}

impl PrivateKey {
    /// Reads a private key: a JWK, or PEM (PKCS #8, for RSA also PKCS #1).
    ///
    /// # Errors
    /// What is wrong with it, without any of it.
    pub fn parse(text: &str) -> Result<PrivateKey, &'static str> {
        const KINDS: &str = "it is no private key: a JWK or PEM, RSA or P-256";
        let text = text.trim();
        let kind = if text.starts_with('{') {
            let jwk = serde_json::from_str(text).map_err(|_| "it is no JWK")?;
            from_jwk(&jwk).ok_or(KINDS)?
        } else if let Ok(key) =
            rsa::PrivateKey::from_pkcs8_pem(text).or_else(|_| rsa::PrivateKey::from_pkcs1_pem(text).map_err(drop))
        {
            Kind::Rsa(Box::new(key))
        } else {
            Kind::P256(Box::new(p256::SecretKey::from_pkcs8_pem(text).map_err(|_| KINDS)?))
        };
        match &kind {
            Kind::Rsa(key) if key.size() < 256 => Err("an RSA key has at least 2048 bits"),
            _ => Ok(PrivateKey(kind)),
        }
    }
}

fn from_jwk(jwk: &Jwk) -> Option<Kind> {
    let bytes = |part: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(part.as_deref()?).ok();
    let number = |part: &Option<String>| Some(BoxedUint::from_be_slice_vartime(&bytes(part)?));
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let primes = vec![number(&jwk.p)?, number(&jwk.q)?];
            let key = rsa::PrivateKey::from_components(number(&jwk.n)?, number(&jwk.e)?, number(&jwk.d)?, primes);
            key.ok().map(|key| Kind::Rsa(Box::new(key)))
        }
        ("EC", Some("P-256")) => p256::SecretKey::from_slice(&bytes(&jwk.d)?).ok().map(|key| Kind::P256(Box::new(key))),
        _ => None,
    }
}

/// The content encryption algorithms.
#[derive(Clone, Copy)]
enum Cipher {
    A128Gcm,
    A256Gcm,
}

impl Cipher {
    fn parse(name: &str) -> Option<Cipher> {
        match name {
            "A128GCM" => Some(Cipher::A128Gcm),
            "A256GCM" => Some(Cipher::A256Gcm),
            _ => None,
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Cipher::A128Gcm => 16,
            Cipher::A256Gcm => 32,
        }
    }

    fn open(self, key: &[u8], nonce: &[u8], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
        let nonce: [u8; 12] = nonce.try_into().ok()?;
        match self {
            Cipher::A128Gcm => Aes128Gcm::new_from_slice(key).ok()?.decrypt(&nonce.into(), payload).ok(),
            Cipher::A256Gcm => Aes256Gcm::new_from_slice(key).ok()?.decrypt(&nonce.into(), payload).ok(),
        }
    }
}

/// Decrypts a token in compact form (RFC 7516, section 5.2), and gives what is inside: mostly a signed JWT.
///
/// # Errors
/// One and the same for everything that has to do with keys, so that nothing can be learned from it.
pub fn decrypt(token: &str, key: &PrivateKey) -> Result<String, Failure> {
    if token.len() > MAX_TOKEN {
        return Err(Failure::TooLong);
    }
    let parts: Vec<_> = token.split('.').collect();
    let [protected, encrypted_key, nonce, text, tag] = parts[..] else { return Err(Failure::Malformed) };
    let header = Header::read(protected)?;
    let (encrypted_key, nonce, tag) = (decode(encrypted_key)?, decode(nonce)?, decode(tag)?);
    let name = header.enc.as_deref().ok_or(Failure::Malformed)?;
    let cipher = Cipher::parse(name).ok_or(Failure::Algorithm)?;
    let content_key = match (header.alg.as_str(), &key.0) {
        ("RSA-OAEP-256", Kind::Rsa(key)) => key.oaep_decrypt::<Sha256>(&encrypted_key).ok(),
        ("ECDH-ES", Kind::P256(key)) if encrypted_key.is_empty() => agree(key, &header, name, cipher),
        _ => return Err(Failure::Algorithm),
    };
    let content_key = content_key.filter(|key| key.len() == cipher.key_bytes()).ok_or(Failure::Encryption)?;
    let sealed = [decode(text)?, tag].concat();
    let payload = Payload { msg: &sealed, aad: protected.as_bytes() };
    let plain = cipher.open(&content_key, &nonce, payload).ok_or(Failure::Encryption)?;
    String::from_utf8(plain).map_err(|_| Failure::Malformed)
}

/// The key that the sender and we agree on (RFC 7518, section 4.6.2), by ECDH and the Concat KDF of one round.
fn agree(own: &p256::SecretKey, header: &Header, name: &str, cipher: Cipher) -> Option<Vec<u8>> {
    let epk = header.epk.as_ref()?;
    let member = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(epk.get(name)?.as_str()?).ok();
    if epk.get("crv").and_then(Value::as_str) != Some("P-256") {
        return None;
    }
    // Checks that the point is on the curve.
    let theirs = [&[4], &*member("x")?, &*member("y")?].concat();
    let theirs = p256::PublicKey::from_sec1_bytes(&theirs).ok()?;
    let scalar: NonZeroScalar = own.to_nonzero_scalar();
    let shared = (ProjectivePoint::from(*theirs.as_affine()) * scalar.as_ref()).to_affine().x();
    let party = |part: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(part.as_deref().unwrap_or_default()).ok();
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    for part in [name.as_bytes().to_vec(), party(&header.apu)?, party(&header.apv)?] {
        hash.update(u32::try_from(part.len()).ok()?.to_be_bytes());
        hash.update(&part);
    }
    hash.update(u32::try_from(cipher.key_bytes() * 8).ok()?.to_be_bytes());
    let mut key = hash.finalize().to_vec();
    key.truncate(cipher.key_bytes());
    Some(key)
}
