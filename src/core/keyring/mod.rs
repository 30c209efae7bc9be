//! The keys that tokens of an issuer are verified with: our own, or fetched from it and kept for a while.

mod verifier;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Map, Value};
use url::Url;

pub use self::verifier::Verifier;
use super::{
    host::Host,
    jose::{self, Expectation, KeySet},
    message::{Answer, Outgoing},
    store::{Entry, Key, Stored},
};

/// How long a set is kept when its answer does not say, and the bounds of what it may say.
const LIFETIME: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A token with an unknown key has the set fetched again (keys rotate), but no more often than this: anybody can
/// make up a key id.
const REFETCH: Duration = Duration::from_secs(30);
/// The limit of one fetch, and how long one counts that was given up before it had an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the keys are.
#[derive(Debug)]
pub enum Keyring {
    /// At an address of the issuer.
    Remote(Remote),
    /// In the rule's own secrets.
    Own(Arc<KeySet>),
}

/// Keys that are fetched, and their places in the host's store.
#[derive(Debug)]
pub struct Remote {
    url: Url,
    /// The set that is in use.
    current: Key,
    /// What the last attempt to fetch it again gave, for as long as there may be no other.
    attempt: Key,
    /// That there was an attempt.
    turn: Key,
}

/// Why a token could not be verified.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// It is not as expected.
    Token(jose::Failure),
    /// The key set cannot be had.
    Keys(String),
}

impl Keyring {
    /// Keys that are fetched.
    pub fn remote(url: Url) -> Self {
        let place = |kind| Key::new(kind, &[url.as_str()]);
        let (current, attempt, turn) = (place("jwks"), place("jwks attempt"), place("jwks turn"));
        Keyring::Remote(Remote { url, current, attempt, turn })
    }

    /// Where the keys are fetched from, if they are.
    fn address(&self) -> Option<&Url> {
        match self {
            Keyring::Remote(remote) => Some(&remote.url),
            Keyring::Own(_) => None,
        }
    }

    /// Verifies a token, and gives its claims.
    ///
    /// # Errors
    /// When it is not as expected, or the keys cannot be had.
    pub async fn verify<H: Host>(
        &self,
        token: &str,
        expectation: &Expectation,
        host: &H,
    ) -> Result<Map<String, Value>, Failure> {
        // What cannot be a token has nothing fetched.
        let token = jose::take_apart(token, expectation).map_err(Failure::Token)?;
        let verify = |keys: &KeySet| token.verify(keys, expectation, H::now());
        let remote = match self {
            Keyring::Own(keys) => return verify(keys).map_err(Failure::Token),
            Keyring::Remote(remote) => remote,
        };
        let entry = host.shared(&remote.current, fetch(&remote.url, host)).await?;
        let Stored::KeySet { keys, fetched } = &entry.value else { return Err(Failure::Keys("it is gone".into())) };
        match verify(keys) {
            Err(jose::Failure::UnknownKey) if H::now().saturating_sub(*fetched) >= REFETCH => {
                let newer = remote.newer(&entry, host).await;
                let keys = newer.as_deref().unwrap_or(keys);
                verify(keys).map_err(Failure::Token)
            }
            result => result.map_err(Failure::Token),
        }
    }
}

impl Remote {
    /// The set as it is now, if it can be had and it is time to look: whoever finds nothing new has lost nothing.
    ///
    /// The old set stays where it is meanwhile: those whose keys are in it do not wait, and it is still there when
    /// the request that looks is over before there is an answer.
    async fn newer<H: Host>(&self, stale: &Entry, host: &H) -> Option<Arc<KeySet>> {
        let mut made = None;
        let attempt = async {
            if !self.take_turn(host).await {
                return Err(());
            }
            let value = match fetch(&self.url, host).await {
                Ok(entry) => made.insert(entry).value.clone(),
                Err(_) => Stored::Done,
            };
            Ok(Entry { value, lifetime: REFETCH })
        };
        let found = host.shared(&self.attempt, attempt).await.ok()?;
        if let Some(entry) = made {
            host.forget(&self.current, stale).await;
            // Somebody else may have put one there since; it is as new.
            let _ = host.shared(&self.current, async { Ok::<_, Failure>(entry) }).await;
        }
        match found.value {
            Stored::KeySet { keys, .. } => Some(keys),
            _ => None,
        }
    }

    /// True once in a while. The turn is taken before anything is sent, so that it counts also for those who go
    /// away before there is an answer; but for a moment only: they must not keep the new keys from everybody else.
    async fn take_turn<H: Host>(&self, host: &H) -> bool {
        let mut mine = false;
        let take = async {
            mine = true;
            // As long as the fetch may take. Once it is over, what it gave stands in the way of the next one.
            Ok::<_, ()>(Entry { value: Stored::Done, lifetime: TIMEOUT })
        };
        host.shared(&self.turn, take).await.is_ok() && mine
    }
}

async fn fetch<H: Host>(url: &Url, host: &H) -> Result<Entry, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    let user_agent = concat!("claimsmith/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(user_agent));
    let outgoing = Outgoing {
        method: Method::GET,
        url: url.clone(),
        headers,
        body: bytes::Bytes::new(),
        timeout: Some(TIMEOUT),
        identity: None,
        number: 0,
    };
    let answer = host.fetch(outgoing).await.map_err(|error| Failure::Keys(error.words()))?;
    if !answer.status.is_success() {
        return Err(Failure::Keys(format!("its address answers {}", answer.status.as_u16())));
    }
    let keys = KeySet::parse(&answer.body).map_err(|why| Failure::Keys(why.into()))?;
    let value = Stored::KeySet { keys: Arc::new(keys), fetched: H::now() };
    Ok(Entry { value, lifetime: lifetime(&answer) })
}

/// `max-age` of `Cache-Control` (RFC 9111, section 5.2.2.1), within bounds.
fn lifetime(answer: &Answer) -> Duration {
    let said = answer.headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let age = said.into_iter().flat_map(|said| said.split(',')).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').parse().ok())?
    });
    age.map_or(LIFETIME, |seconds| Duration::from_secs(seconds).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::HashMap,
    };

    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    use bytes::Bytes;
    use ed25519_dalek::{Signer, SigningKey};
    use futures_util::FutureExt as _;
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::core::{
        FetchError, Secret, SecretSource,
        identity::{Half, Identity},
        jose::Algorithm,
    };

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1000) };
    }

    /// An issuer whose keys rotate.
    #[derive(Default)]
    struct Issuer {
        keys: RefCell<Vec<u8>>,
        down: Cell<bool>,
        hangs: Cell<bool>,
        fetched: Cell<u32>,
        /// With the moment at which each was made.
        store: RefCell<HashMap<Key, (Entry, Duration)>>,
    }

    impl Host for Issuer {
        async fn fetch(&self, _: Outgoing) -> Result<Answer, FetchError> {
            self.fetched.set(self.fetched.get() + 1);
            if self.hangs.get() {
                std::future::pending::<()>().await;
            }
            if self.down.get() {
                return Err(FetchError::Timeout);
            }
            let jwk = |seed: &u8| {
                let x = BASE64.encode(SigningKey::from_bytes(&[*seed; 32]).verifying_key().to_bytes());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": format!("k{seed}"), "x": x })
            };
            let keys: Vec<_> = self.keys.borrow().iter().map(jwk).collect();
            let body = Bytes::from(json!({ "keys": keys }).to_string());
            Ok(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body })
        }

        fn secret(&self, _: &str, _: &SecretSource) -> Result<Secret, String> {
            Err("there is none".into())
        }

        fn script(&self, _: &str) -> Result<String, String> {
            Err("there is none".into())
        }

        fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
            Ok(())
        }

        async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
        where
            E: Clone + Send + Sync + 'static,
        {
            let kept = self.store.borrow().get(key).cloned();
            if let Some((entry, _)) = kept.filter(|(entry, made)| Self::now() < *made + entry.lifetime) {
                return Ok(entry);
            }
            let entry = make.await?;
            self.store.borrow_mut().insert(*key, (entry.clone(), Self::now()));
            Ok(entry)
        }

        async fn forget(&self, key: &Key, stale: &Entry) {
            self.store.borrow_mut().remove(key).filter(|(entry, _)| entry == stale).expect("it is the one");
        }

        async fn pause(&self, _: Duration) {}

        fn clock() -> Duration {
            Duration::ZERO
        }

        fn now() -> Duration {
            Duration::from_secs(NOW.get())
        }
    }

    fn token(seed: u8) -> String {
        signed(seed, json!({ "alg": "EdDSA", "kid": format!("k{seed}") }))
    }

    fn signed(seed: u8, header: Value) -> String {
        let part = |value: Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(json!({ "iss": "i", "aud": "a", "exp": 1_000_000 })));
        let signature = SigningKey::from_bytes(&[seed; 32]).sign(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
    }

    #[tokio::test]
    async fn what_cannot_be_a_token_has_no_keys_fetched() {
        let issuer = Issuer { keys: RefCell::new(vec![1]), ..Issuer::default() };
        let keyring = Keyring::remote(Url::parse("https://issuer.example/jwks").expect("a URL"));
        let (wanted, sound) = (expectation(), token(1));
        let parts: Vec<_> = sound.split('.').collect();
        let none = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), parts[1]);
        let shared = format!("{}.{}.{}", BASE64.encode(r#"{"alg":"HS256"}"#), parts[1], parts[2]);
        for (token, expected) in [
            ("", jose::Failure::Malformed),
            ("opaque", jose::Failure::Malformed),
            ("a.b.c", jose::Failure::Malformed),
            (&format!("{sound}.x.y"), jose::Failure::Malformed),
            (&format!("{}.!.{}", parts[0], parts[2]), jose::Failure::Malformed),
            (&none, jose::Failure::Algorithm),
            (&shared, jose::Failure::Algorithm),
            (&"x".repeat(100_000), jose::Failure::TooLong),
        ] {
            assert_eq!(keyring.verify(token, &wanted, &issuer).await, Err(Failure::Token(expected)), "{token:.30}");
        }
        assert_eq!(issuer.fetched.get(), 0);
    }

    fn expectation() -> Expectation {
        Expectation {
            algorithms: Algorithm::asymmetric(),
            issuer: vec!["i".into()],
            audience: vec!["a".into()],
            kind: None,
            expires: true,
            leeway: Duration::ZERO,
            claims: Vec::new(),
        }
    }

    #[tokio::test]
    async fn keys_rotate_and_nobody_can_make_us_fetch_them_more_often() {
        let issuer = Issuer { keys: RefCell::new(vec![1]), ..Issuer::default() };
        let keyring = Keyring::remote(Url::parse("https://issuer.example/jwks").expect("a URL"));
        let expectation = expectation();
        let tokens: HashMap<u8, String> = [1, 2, 99].into_iter().map(|seed| (seed, token(seed))).collect();
        let verify = async |seed: u8| keyring.verify(&tokens[&seed], &expectation, &issuer).await.map(drop);
        let unknown = Err(Failure::Token(jose::Failure::UnknownKey));
        assert_eq!(verify(1).await, Ok(()));
        *issuer.keys.borrow_mut() = vec![1, 2];
        for _ in 0..1000 {
            assert_eq!(verify(2).await, unknown, "the set is fresh");
        }
        assert_eq!(issuer.fetched.get(), 1);
        NOW.set(1030);
        assert_eq!(verify(2).await, Ok(()), "the new key is found once it may be looked for");
        for _ in 0..1000 {
            assert_eq!(verify(99).await, unknown);
        }
        assert_eq!(issuer.fetched.get(), 2);
        NOW.set(1060);
        issuer.down.set(true);
        for _ in 0..1000 {
            assert_eq!(verify(99).await, unknown);
        }
        assert_eq!(verify(1).await, Ok(()), "the old set still serves");
        assert_eq!(issuer.fetched.get(), 3);
    }

    #[tokio::test]
    async fn a_key_without_a_name_rotates_too() {
        let issuer = Issuer { keys: RefCell::new(vec![1]), ..Issuer::default() };
        let keyring = Keyring::remote(Url::parse("https://issuer.example/jwks").expect("a URL"));
        let expectation = expectation();
        let token = signed(2, json!({ "alg": "EdDSA" }));
        let verify = async || keyring.verify(&token, &expectation, &issuer).await.map(drop);
        NOW.set(1000);
        assert_eq!(verify().await, Err(Failure::Token(jose::Failure::UnknownKey)));
        *issuer.keys.borrow_mut() = vec![2];
        NOW.set(1030);
        assert_eq!(verify().await, Ok(()));
        assert_eq!(issuer.fetched.get(), 2);
    }

    #[test]
    fn a_set_lives_as_long_as_its_answer_says_within_bounds() {
        for (said, expected) in [
            (None, 600),
            (Some("max-age=300"), 300),
            (Some("public, max-age=3600, must-revalidate"), 3600),
            (Some("max-age=0"), 60),
            (Some("max-age=31536000"), 86_400),
            (Some("no-cache"), 600),
            (Some("max-age=x"), 600),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(said.map(|said| (header::CACHE_CONTROL, HeaderValue::from_static(said))));
            let answer = Answer { status: StatusCode::OK, headers, body: Bytes::new() };
            assert_eq!(lifetime(&answer).as_secs(), expected, "{said:?}");
        }
    }

    #[tokio::test]
    async fn whoever_goes_away_takes_no_keys_along_and_has_them_fetched_no_more_often() {
        let issuer = Issuer { keys: RefCell::new(vec![1]), ..Issuer::default() };
        let keyring = Keyring::remote(Url::parse("https://issuer.example/jwks").expect("a URL"));
        let expectation = expectation();
        let (known, unknown) = (token(1), token(99));
        let verify = async |token: &str| keyring.verify(token, &expectation, &issuer).await.map(drop);
        NOW.set(1000);
        assert_eq!(verify(&known).await, Ok(()));
        NOW.set(1030);
        issuer.hangs.set(true);
        for round in 0..1000 {
            // What is not there at once is dropped: a request that is over its deadline, or whose caller left.
            let _ = verify(&unknown).now_or_never();
            if round % 100 == 0 {
                assert_eq!(verify(&known).now_or_never(), Some(Ok(())), "nobody waits for a key that he does not need");
            }
        }
        assert_eq!(issuer.fetched.get(), 2);
        issuer.hangs.set(false);
        *issuer.keys.borrow_mut() = vec![1, 99];
        NOW.set(1034);
        assert!(verify(&unknown).await.is_err(), "the fetch that was given up may still be on its way");
        assert_eq!(issuer.fetched.get(), 2);
        NOW.set(1035);
        assert_eq!(verify(&unknown).await, Ok(()), "it does not take the keys from the others for long");
        assert_eq!(issuer.fetched.get(), 3);
    }

    #[tokio::test]
    async fn a_set_that_cannot_be_fetched_again_gets_no_older_than_it_may() {
        let issuer = Issuer { keys: RefCell::new(vec![1]), ..Issuer::default() };
        let keyring = Keyring::remote(Url::parse("https://issuer.example/jwks").expect("a URL"));
        let expectation = expectation();
        let (known, unknown) = (token(1), token(99));
        let verify = async |token: &str| keyring.verify(token, &expectation, &issuer).await.map(drop);
        NOW.set(1000);
        assert_eq!(verify(&known).await, Ok(()));
        issuer.down.set(true);
        for seconds in (30..600).step_by(30) {
            NOW.set(1000 + seconds);
            assert_eq!(verify(&unknown).await, Err(Failure::Token(jose::Failure::UnknownKey)));
            assert_eq!(verify(&known).await, Ok(()), "after {seconds} s");
        }
        NOW.set(1600);
        assert!(matches!(verify(&known).await, Err(Failure::Keys(_))), "a key that was taken back must not live on");
    }
}
