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

#[cfg(test)]
mod tests {
    use super::super::tests::{KEY, check, run};

    /// RFC 7515, appendix A.2, in the other base64.
    const SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB//dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh+0Qc/lF5YKt/O8W2Fp5jujG\
        bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB++f/nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB/eSN9383LcOL\
        n6/dO++xi12jzDwusC+eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN/I\
        oypGlUPQGe77Rw==";
    const INPUT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    #[test]
    fn a_signature_is_that_of_the_standard_whether_the_key_is_pem_or_its_base64_alone() {
        let body: Vec<_> = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
        for key in [KEY.to_owned(), format!("\n{KEY}\n"), body.join("\n"), body.concat()] {
            assert_eq!(run(&format!("rsa_sha256(`{key}`, \"{INPUT}\")")), Ok(format!("\"{SIGNATURE}\"")));
        }
    }

    #[test]
    fn what_is_no_key_or_too_weak_is_refused_without_being_told() {
        let fault = "!`rsa_sha256` wants a private RSA key of 2048 to 4096 bits as `key`";
        let small = include_str!("rsa1024.pem");
        let body: String = small.lines().filter(|line| !line.starts_with("-----")).collect();
        let cases = [
            "s3cret".to_owned(),
            String::new(),
            "QUJD".into(),
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".into(),
            KEY.replace("PRIVATE", "PUBLIC"),
            small.to_owned(),
            body,
        ];
        for key in cases {
            check(&[(&format!("rsa_sha256(`{key}`, \"x\")"), fault)]);
        }
    }

    #[test]
    fn no_more_than_a_few_keys_are_kept() {
        for number in 0..=super::KEPT {
            let key = format!("{KEY}{}", "\n".repeat(number));
            assert!(run(&format!("rsa_sha256(`{key}`, \"x\")")).is_ok());
        }
        assert_eq!(super::KEYS.with_borrow(Vec::len), super::KEPT);
    }
}
