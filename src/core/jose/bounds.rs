//! Tests: what tokens and key sets may be at most, one below and one above each bound.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use super::{Algorithm, Expectation, Failure, KeySet, MAX_TOKEN, PrivateKey, decrypt, verify};

const NOW: Duration = Duration::from_secs(1000);

fn expectation() -> Expectation {
    Expectation {
        algorithms: Algorithm::asymmetric(),
        issuer: Vec::new(),
        audience: Vec::new(),
        kind: None,
        expires: false,
        leeway: Duration::from_secs(60),
        claims: Vec::new(),
    }
}

/// A token without the name of a key.
fn signed(seed: u8, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "EdDSA" })), part(claims));
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
}

fn jwk(seed: u8) -> Value {
    let x = BASE64.encode(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
}

fn set(keys: impl IntoIterator<Item = Value>) -> Result<KeySet, &'static str> {
    KeySet::parse(json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string().as_bytes())
}

#[test]
fn a_token_has_at_most_64_kib() {
    let keys = set([jwk(1)]).expect("a set");
    let token = |filling: usize| signed(1, &json!({ "filling": "x".repeat(filling) }));
    // Three bytes of claims are four of the token.
    let room = (MAX_TOKEN - token(0).len()) / 4 * 3;
    let (longest, longer) = (token(room), token(room + 6));
    assert!(longest.len() <= MAX_TOKEN && longest.len() > MAX_TOKEN - 8 && longer.len() > MAX_TOKEN);
    assert!(verify(&longest, &keys, &expectation(), NOW).is_ok());
    assert_eq!(verify(&longer, &keys, &expectation(), NOW), Err(Failure::TooLong));

    let key = PrivateKey::parse(include_str!("../../../tests/keys/rsa.pem")).expect("a key");
    let dots = |length: usize| format!("....{}", "A".repeat(length - 4));
    assert_eq!(decrypt(&dots(MAX_TOKEN), &key), Err(Failure::Malformed));
    assert_eq!(decrypt(&dots(MAX_TOKEN + 1), &key), Err(Failure::TooLong));
}

#[test]
fn a_key_set_has_at_most_100_keys_and_256_kib() {
    assert!(set(vec![jwk(1); 100]).is_ok());
    assert_eq!(set(vec![jwk(1); 101]).err(), Some("it has too many keys"));
    let padded = |length: usize| {
        let text = json!({ "keys": [jwk(1)] }).to_string();
        format!("{}{text}", " ".repeat(length - text.len()))
    };
    assert!(KeySet::parse(padded(256 * 1024).as_bytes()).is_ok());
    assert_eq!(KeySet::parse(padded(256 * 1024 + 1).as_bytes()).err(), Some("it is too large for a key set"));
}

#[test]
fn of_the_keys_that_fit_a_token_without_a_name_eight_are_tried() {
    let keys = set((1..=9).map(jwk)).expect("a set");
    for seed in 1..=8 {
        assert!(verify(&signed(seed, &json!({})), &keys, &expectation(), NOW).is_ok(), "{seed}");
    }
    assert!(verify(&signed(9, &json!({})), &keys, &expectation(), NOW).is_err());
}

#[test]
fn an_rsa_key_has_2048_to_8192_bits() {
    for (bits, sound) in [(1024, false), (2040, false), (2048, true), (4096, true), (8192, true), (8200, false)] {
        let modulus = BASE64.encode(vec![0xff; bits / 8]);
        let read = set([json!({ "kty": "RSA", "n": modulus, "e": "AQAB" })]);
        assert_eq!(read.is_ok(), sound, "{bits} bits: {read:?}");
    }
}

#[test]
fn a_token_was_issued_by_now_give_or_take_the_leeway() {
    let keys = set([jwk(1)]).expect("a set");
    for (issued, expected) in [
        (json!(1), Ok(())),
        (json!(1000), Ok(())),
        (json!(1060), Ok(())),
        (json!(1061), Err(Failure::NotYet)),
        (json!(1_000_000.5), Err(Failure::NotYet)),
        (json!("1000"), Err(Failure::Malformed)),
        (json!([1]), Err(Failure::Malformed)),
        (json!(null), Ok(())),
    ] {
        let token = signed(1, &json!({ "iat": issued }));
        assert_eq!(verify(&token, &keys, &expectation(), NOW).map(drop), expected, "{issued}");
    }
}
