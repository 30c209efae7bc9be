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
