//! Bytes as tokens and keys: nothing that was not signed or encrypted with our keys passes, whatever it looks like.

use std::{sync::LazyLock, time::Duration};

use claimsmith::core::jose::{Algorithm, Expectation, KeySet, PrivateKey, decrypt, is_encrypted, take_apart};

const NOW: Duration = Duration::from_secs(1_767_225_600);
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Keys that nobody has the other halves of any more, and what was signed with them: RS256, ES256, EdDSA; and HS256.
const JWKS: &[u8] = include_bytes!("keys/jwks.json");
const SIGNED: &str = include_str!("keys/tokens.txt");
const ENCRYPTED: &str = include_str!("../../tests/keys/encrypted.txt");
const RSA: &str = include_str!("../../tests/keys/rsa.pem");
const P256: &str = include_str!("../../tests/keys/p256.pem");

static KEYS: LazyLock<[KeySet; 2]> =
    LazyLock::new(|| [KeySet::parse(JWKS).expect("it is a key set"), KeySet::symmetric(SECRET)]);
static OURS: LazyLock<[PrivateKey; 2]> =
    LazyLock::new(|| [RSA, P256].map(|pem| PrivateKey::parse(pem).expect("it is a private key")));

fn expectation() -> Expectation {
    Expectation {
        algorithms: Algorithm::ALL.into_iter().map(|(_, algorithm)| algorithm).collect(),
        issuer: vec!["https://login.example".into()],
        audience: vec!["us".into()],
        kind: None,
        expires: true,
        leeway: Duration::from_secs(60),
        claims: Vec::new(),
    }
}

/// What is asked of an input. Its first byte says what it is to be.
pub fn check(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else { return };
    let text = || std::str::from_utf8(rest).ok();
    match what {
        b'v' => text().into_iter().for_each(verify),
        b'k' => key_set(rest),
        b'd' => text().into_iter().for_each(open),
        b'p' => text().into_iter().for_each(private_key),
        b'c' => text().into_iter().for_each(claims),
        _ => {}
    }
}

/// What is verified is one of the tokens that were signed, letter for letter but for its signature: ECDSA has two for
/// each.
fn verify(token: &str) {
    let signed = |token: &str| token.rsplit_once('.').map(|(signed, _)| signed.to_owned());
    let genuine = SIGNED.lines().any(|genuine| signed(genuine) == signed(token));
    let Ok(apart) = take_apart(token, &expectation()) else { return };
    for keys in KEYS.iter() {
        if let Ok(claims) = apart.verify(keys, &expectation(), NOW) {
            assert!(genuine, "a token was made up: {token}");
            assert_eq!(claims["sub"], "u1");
        }
    }
}

/// A set of somebody else's verifies no token of ours, unless our key is in it.
fn key_set(text: &[u8]) {
    let Ok(keys) = KeySet::parse(text) else { return };
    let ours = String::from_utf8_lossy(JWKS);
    let holds_ours = ours
        .split('"')
        .filter(|part| part.len() > 40)
        .any(|part| text.windows(part.len()).any(|window| window == part.as_bytes()));
    for token in SIGNED.lines() {
        let apart = take_apart(token, &expectation()).expect("it is a token");
        let verified = apart.verify(&keys, &expectation(), NOW).is_ok();
        assert!(!verified || holds_ours, "a key was made up: {}", String::from_utf8_lossy(text));
    }
}

/// What can be decrypted is what was encrypted, letter for letter.
fn open(token: &str) {
    let token = token.trim();
    for key in OURS.iter() {
        if is_encrypted(token) && decrypt(token, key).is_ok() {
            assert!(ENCRYPTED.contains(token), "a token was made up: {token}");
        }
    }
}

/// A key that can be read opens nothing of what was encrypted for another.
fn private_key(text: &str) {
    let Ok(key) = PrivateKey::parse(text) else { return };
    assert!(!format!("{key:?}").contains(char::is_numeric), "a key is not shown");
    let ours = OURS.contains(&key);
    for token in ENCRYPTED.split_ascii_whitespace().filter(|token| is_encrypted(token)) {
        assert!(ours || decrypt(token, &key).is_err());
    }
}

/// Claims that are accepted name issuer and audience, and the time is within theirs.
fn claims(text: &str) {
    let Ok(claims) = expectation().claims_of(text, NOW) else { return };
    assert_eq!(claims["iss"], "https://login.example");
    let audience = &claims["aud"];
    assert!(audience == "us" || audience.as_array().is_some_and(|all| all.iter().any(|one| one == "us")), "{audience}");
    let end = claims["exp"].as_f64().expect("it says when it ends");
    assert!(end + 60.0 > NOW.as_secs_f64(), "{end}");
}
