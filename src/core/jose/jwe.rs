//! Encrypted tokens for our own key: RSA-OAEP-256 and ECDH-ES, with AES-GCM (RFC 7518, sections 4 and 5).

use std::fmt;

use aes_gcm::{
    Aes128Gcm, Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use p256::{NonZeroScalar, ProjectivePoint, elliptic_curve::point::AffineCoordinates};
use rsa::{BoxedUint, pkcs1::DecodeRsaPrivateKey, pkcs8::DecodePrivateKey as _, traits::PublicKeyParts as _};
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
    /// Reads a private key: a JWK, or PEM (PKCS #8, PKCS #1 for RSA, SEC 1 for P-256).
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
            // OpenSSL writes a block with the name of the curve before a key of SEC 1.
            let key = text.find("-----BEGIN EC PRIVATE KEY-----").map_or(text, |start| &text[start..]);
            Kind::P256(Box::new(p256::SecretKey::from_pem(key).map_err(|_| KINDS)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of OpenSSL, in each form that it writes.
    const KEYS: [(&str, &str); 4] = [
        ("RSA", include_str!("../../../tests/keys/rsa.pem")),
        ("RSA", include_str!("../../../tests/keys/rsa-pkcs1.pem")),
        ("ECDH", include_str!("../../../tests/keys/p256.pem")),
        ("ECDH", include_str!("../../../tests/keys/p256-sec1.pem")),
    ];

    /// A line for each kind: what it is, and a token of another implementation for these keys.
    fn tokens() -> impl Iterator<Item = (&'static str, &'static str)> {
        include_str!("../../../tests/keys/encrypted.txt").lines().map(|line| line.split_once(' ').expect("a name"))
    }

    #[test]
    fn what_others_encrypt_is_read_with_our_key_and_with_no_other() {
        let mut read = 0;
        for (name, token) in tokens() {
            for (kind, key) in KEYS {
                let text = decrypt(token, &PrivateKey::parse(key).expect("a key"));
                match name.starts_with(kind) {
                    true => assert_eq!(text.as_deref(), Ok(r#"{"sub":"u1"}"#), "{name}"),
                    false => assert_eq!(text, Err(Failure::Algorithm), "{name}"),
                }
                read += u32::from(name.starts_with(kind));
            }
        }
        assert_eq!(read, 8);
    }

    #[test]
    fn a_changed_bit_anywhere_is_seen() {
        for (name, token) in tokens() {
            let kind = name.split('-').next().expect("a name");
            let key = KEYS.iter().find(|(one, _)| *one == kind).expect("a key").1;
            let key = PrivateKey::parse(key).expect("a key");
            let parts: Vec<_> = token.split('.').map(|part| decode(part).expect("base64")).collect();
            for (index, part) in parts.iter().enumerate() {
                for at in (0..part.len()).step_by(61).chain(part.len().checked_sub(1)) {
                    let mut changed = parts.clone();
                    changed[index][at] ^= 1;
                    let changed: Vec<_> = changed.iter().map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).collect();
                    assert!(decrypt(&changed.join("."), &key).is_err(), "{name}: part {index}, byte {at}");
                }
            }
        }
    }

    /// RFC 7518, appendix C.
    #[test]
    fn a_key_is_agreed_on_as_the_standard_does_it() {
        let bob = r#"{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
            "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#;
        let header = r#"{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":{"kty":"EC","crv":"P-256",
            "x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}}"#;
        let header = Header::read(&BASE64_URL_SAFE_NO_PAD.encode(header)).expect("a header");
        let Kind::P256(bob) = PrivateKey::parse(bob).expect("a key").0 else { panic!("another kind of key") };
        let key = agree(&bob, &header, "A128GCM", Cipher::A128Gcm).expect("a key");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(key), "VqqN6vgjbSBcIijNcacQGg");
    }
}
