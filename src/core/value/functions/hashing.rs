//! Digests, and signatures with a shared key.

use ::hmac::{Hmac, KeyInit, Mac};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use md5::Md5;
use rhai::Dynamic;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Call, Raw, encoding};

pub(super) fn md5(call: &Call<'_>) -> Raw<Dynamic> {
    digest::<Md5>(call)
}

pub(super) fn sha1(call: &Call<'_>) -> Raw<Dynamic> {
    digest::<Sha1>(call)
}

pub(super) fn sha256(call: &Call<'_>) -> Raw<Dynamic> {
    digest::<Sha256>(call)
}

pub(super) fn sha512(call: &Call<'_>) -> Raw<Dynamic> {
    digest::<Sha512>(call)
}

pub(super) fn hmac_sha1(call: &Call<'_>) -> Raw<Dynamic> {
    mac::<Hmac<Sha1>>(call)
}

pub(super) fn hmac_sha256(call: &Call<'_>) -> Raw<Dynamic> {
    mac::<Hmac<Sha256>>(call)
}

pub(super) fn hmac_sha512(call: &Call<'_>) -> Raw<Dynamic> {
    mac::<Hmac<Sha512>>(call)
}

/// Whether bytes can be given in this form.
pub(super) fn check_output(name: &str) -> Result<(), &'static str> {
    output(name).map(|_| ()).ok_or("`\"hex\"`, `\"base64\"` or `\"base64url\"`")
}

fn digest<D: Digest>(call: &Call<'_>) -> Raw<Dynamic> {
    written(call, 1, &D::digest(call.text(0)?.as_bytes()))
}

fn mac<M: KeyInit + Mac>(call: &Call<'_>) -> Raw<Dynamic> {
    let key = call.text(0)?;
    if key.is_empty() {
        return Err(call.fault("wants a key that is not empty"));
    }
    let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).map_err(|_| call.fault("cannot use this key"))?;
    mac.update(call.text(1)?.as_bytes());
    written(call, 2, &mac.finalize().into_bytes())
}

type Output = fn(&[u8]) -> String;

fn output(name: &str) -> Option<Output> {
    Some(match name {
        "hex" => encoding::digits,
        "base64" => |bytes| BASE64_STANDARD.encode(bytes),
        "base64url" => |bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes),
        _ => return None,
    })
}

/// Bytes in the form that an argument names; in hexadecimal without it.
fn written(call: &Call<'_>, number: usize, bytes: &[u8]) -> Raw<Dynamic> {
    let written = match call.argument(number) {
        None => encoding::digits(bytes),
        Some(_) => match output(&call.text(number)?) {
            Some(output) => output(bytes),
            None => return Err(call.wants(number, "\"hex\", \"base64\" or \"base64url\"")),
        },
    };
    Ok(written.into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, run};

    /// RFC 1321 (MD5), RFC 3174 and FIPS 180-4 (SHA-1), RFC 6234 (SHA-2).
    #[test]
    fn digests_are_those_of_the_standards() {
        let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        for (function, text, expected) in [
            ("md5", "", "d41d8cd98f00b204e9800998ecf8427e"),
            ("md5", "a", "0cc175b9c0f1b6a831c399e269772661"),
            ("md5", "abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("md5", "message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("md5", "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            ("sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha1", long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
            ("sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("sha256", long, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
            (
                "sha512",
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(run(&format!("{function}(\"{text}\")")), Ok(format!("\"{expected}\"")), "{function} {text}");
        }
    }

    /// RFC 2202 (SHA-1) and RFC 4231 (SHA-2). Keys and texts of scripts are UTF-8, which leaves out those of other bytes.
    #[test]
    fn signatures_are_those_of_the_standards() {
        let hi = r#""\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There""#;
        let jefe = r#""Jefe", "what do ya want for nothing?""#;
        let truncated = r#""\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c", "Test With Truncation""#;
        for (function, arguments, expected) in [
            ("hmac_sha1", hi, "b617318655057264e28bc0b6fb378c8ef146be00"),
            ("hmac_sha1", jefe, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            ("hmac_sha1", truncated, "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
            ("hmac_sha256", hi, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            ("hmac_sha256", jefe, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                "hmac_sha512",
                hi,
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
            (
                "hmac_sha512",
                jefe,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            assert_eq!(
                run(&format!("{function}({arguments})")),
                Ok(format!("\"{expected}\"")),
                "{function} {arguments}"
            );
        }
    }

    #[test]
    fn bytes_are_given_in_the_form_that_is_asked_for() {
        check(&[
            ("sha256(\"abc\", \"hex\") == sha256(\"abc\")", "true"),
            ("md5(\"abc\", \"base64\")", "\"kAFQmDzST7DWlj99KOF/cg==\""),
            ("md5(\"abc\", \"base64url\")", "\"kAFQmDzST7DWlj99KOF_cg\""),
            ("md5(\"é\")", "\"66ddcd97cfdeabb2f6fb8a999b4bc76f\""),
            ("md5(\"abc\", \"HEX\")", "!`md5` wants \"hex\", \"base64\" or \"base64url\" as `output`"),
            ("md5(\"abc\", ())", "!`md5` wants a text as `output`"),
            ("hmac_sha256(\"\", \"abc\")", "!`hmac_sha256` wants a key that is not empty"),
            ("hmac_sha256(\"key\", ())", "!`hmac_sha256` wants a text as `text`"),
        ]);
    }
}
