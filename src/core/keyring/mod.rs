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
    message::{Answer, FetchError, Outgoing},
    store::{Entry, Key, Stored},
};

/// How long a set is kept when its answer does not say, and the bounds of what it may say.
const LIFETIME: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A token with an unknown key has the set fetched again (keys rotate), but no more often than this: anybody can
/// make up a key id.
const REFETCH: Duration = Duration::from_secs(30);
/// The limit of one fetch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the keys are.
#[derive(Debug)]
pub enum Keyring {
    /// At an address of the issuer.
    Remote {
        /// The address.
        url: Url,
        /// The place of its keys in the host's store.
        key: Key,
    },
    /// In the rule's own secrets.
    Own(Arc<KeySet>),
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
        let key = Key::new("jwks", &[url.as_str()]);
        Keyring::Remote { url, key }
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
        let (url, key) = match self {
            Keyring::Own(keys) => return jose::verify(token, keys, expectation, H::now()).map_err(Failure::Token),
            Keyring::Remote { url, key } => (url, key),
        };
        let entry = host.shared(key, fetch(url, host)).await?;
        let Stored::KeySet { keys, fetched } = &entry.value else { return Err(Failure::Keys("it is gone".into())) };
        match jose::verify(token, keys, expectation, H::now()) {
            Err(jose::Failure::UnknownKey) if H::now().saturating_sub(*fetched) >= REFETCH => {
                host.forget(key, &entry).await;
                let stale = entry.clone();
                let newer =
                    host.shared(key, async { Ok(fetch(url, host).await.unwrap_or_else(|_| again(stale, H::now()))) });
                match newer.await?.value {
                    Stored::KeySet { keys, .. } => {
                        jose::verify(token, &keys, expectation, H::now()).map_err(Failure::Token)
                    }
                    Stored::AccessToken(_) => Err(Failure::Keys("it is gone".into())),
                }
            }
            result => result.map_err(Failure::Token),
        }
    }
}

/// An old set that could not be fetched again: it still serves, and the next attempt waits its turn.
fn again(mut entry: Entry, now: Duration) -> Entry {
    if let Stored::KeySet { fetched, .. } = &mut entry.value {
        *fetched = now;
    }
    entry
}

async fn fetch<H: Host>(url: &Url, host: &H) -> Result<Entry, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    let user_agent = concat!("claimsmith/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(user_agent));
    let outgoing =
        Outgoing { method: Method::GET, url: url.clone(), headers, body: bytes::Bytes::new(), timeout: Some(TIMEOUT) };
    let answer = host.fetch(outgoing).await.map_err(|error| Failure::Keys(words(&error)))?;
    if !answer.status.is_success() {
        return Err(Failure::Keys(format!("its address answers {}", answer.status.as_u16())));
    }
    let keys = KeySet::parse(&answer.body).map_err(|why| Failure::Keys(why.into()))?;
    let value = Stored::KeySet { keys: Arc::new(keys), fetched: H::now() };
    Ok(Entry { value, lifetime: lifetime(&answer) })
}

fn words(error: &FetchError) -> String {
    match error {
        FetchError::Timeout => "no answer in time".into(),
        FetchError::Connect(why) => format!("no connection: {why}"),
        FetchError::TooLarge(limit) => format!("it has more than {limit} bytes"),
        FetchError::Broken(why) => format!("the answer broke off: {why}"),
    }
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
