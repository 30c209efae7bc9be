//! Signatures with a private key.

use std::cell::RefCell;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rhai::Dynamic;
use rsa::{
    PrivateKey,
    pkcs1::DecodeRsaPrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::DecodePrivateKey,
    signature::{SignatureEncoding, Signer},
    traits::PublicKeyParts,
};
use sha2::{Digest, Sha256};

use super::{Call, Raw};

/// Shorter keys can be broken, longer ones take longer than a script may.
const BITS: std::ops::RangeInclusive<u32> = 2048..=4096;
/// How many keys each thread keeps: reading one costs as much as signing.
const KEPT: usize = 4;

thread_local! {
    /// Keys by the digest of their text, the one that was read last at the end.
    static KEYS: RefCell<Vec<([u8; 32], SigningKey<Sha256>)>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn rsa_sha256(call: &Call<'_>) -> Raw<Dynamic> {
    let (key, text) = (call.text(0)?, call.text(1)?);
    let name: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let signature = KEYS.with_borrow_mut(|keys| {
        let at = match keys.iter().position(|(other, _)| *other == name) {
            Some(at) => at,
            None => {
                let key = read(&key).ok_or_else(|| call.wants(0, "a private RSA key of 2048 to 4096 bits"))?;
                if keys.len() == KEPT {
                    keys.remove(0);
                }
                keys.push((name, key));
                keys.len() - 1
            }
        };
        keys[at].1.try_sign(text.as_bytes()).map_err(|_| call.fault("cannot sign with this key"))
    })?;
    Ok(BASE64_STANDARD.encode(signature.to_bytes()).into())
}

/// A key as PEM, or as some providers hand it out: the base64 within it alone.
fn read(text: &str) -> Option<SigningKey<Sha256>> {
    let text = text.trim();
    let key = if text.starts_with("-----BEGIN") {
        PrivateKey::from_pkcs8_pem(text).ok().or_else(|| PrivateKey::from_pkcs1_pem(text).ok())
    } else {
        let base64: String = text.split_ascii_whitespace().collect();
        let der = BASE64_STANDARD.decode(base64).ok()?;
        PrivateKey::from_pkcs8_der(&der).ok().or_else(|| PrivateKey::from_pkcs1_der(&der).ok())
    };
    key.filter(|key| BITS.contains(&key.n().bit_width())).map(SigningKey::new)
}
