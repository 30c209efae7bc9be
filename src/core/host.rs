//! The only door outside: everything that the core wants of the world.

use std::time::Duration;

use url::Url;

use super::{
    identity::{Half, Identity},
    message::{Answer, FetchError, Outgoing, Secret},
    store::{Entry, Key, Seal},
};

/// Where a secret's value comes from. A rule holds this, never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable (or a binding, on hosts that have those).
    Env(String),
    /// A file; a newline at its end does not belong to the secret.
    File(String),
}

/// What a place that runs rules offers: sockets, secrets, script files, a store and clocks.
///
/// The native gateway is one, an edge function another; tests use a map.
#[expect(async_fn_in_trait, reason = "hosts name their concrete type when they spawn, so `Send` is theirs to decide")]
pub trait Host {
    /// Sends one request and reads the whole answer.
    ///
    /// The host holds the call's `timeout` and its own limits (total time, body
    /// size after decompression) and never follows a redirect.
    ///
    /// # Errors
    /// When there is no complete answer.
    async fn fetch(&self, request: Outgoing) -> Result<Answer, FetchError>;

    /// The value of a secret, which the rule calls by `name`. Called when a rule is loaded, never during a request.
    ///
    /// # Errors
    /// A sentence that says what is missing, without any value.
    fn secret(&self, name: &str, source: &SecretSource) -> Result<Secret, String>;

    /// Whether connections can be made with an identity. Called when a rule is loaded.
    ///
    /// # Errors
    /// Which half is wrong, and a sentence that says why, without any of it.
    fn check(&self, identity: &Identity) -> Result<(), (Half, String)>;

    /// The text of a script file that stands beside the rules. Called when a rule is loaded.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    fn script(&self, file: &str) -> Result<String, String>;

    /// The entry under a key: what is kept there, or what `make` gives, which is then kept for its lifetime.
    /// Of all that want the same key at once only one makes it, as far as the host can tell. A host that keeps nothing
    /// has it made each time.
    ///
    /// # Errors
    /// Those of `make`; they are not kept.
    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        let _ = key;
        make.await
    }

    /// Takes away an entry that turned out to be of no use; one that came in its place stays.
    async fn forget(&self, key: &Key, stale: &Entry) {
        let _ = (key, stale);
    }

    /// Makes the names under which answers are kept. A host without one keeps none, and rules run without their caches.
    fn seal(&self) -> Option<&Seal> {
        None
    }

    /// The entry under a key, if there is one and its lifetime is not over.
    async fn recall(&self, _key: &Key) -> Option<Entry> {
        None
    }

    /// Keeps an entry for its lifetime, in the place of any other under this key. A host may let it go sooner.
    async fn keep(&self, _key: &Key, _entry: Entry) {}

    /// Whether one more attempt may be made of a request to this address: those that fail together must not all
    /// come again.
    fn may_repeat(&self, _address: &Url) -> bool {
        true
    }

    /// What comes of some work, unless that takes longer. A host without timers waits for it.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let _ = limit;
        Some(work.await)
    }

    /// Waits this long, and up to half as long again: the host varies it, so that those who failed together do
    /// not return together.
    async fn pause(&self, least: Duration);

    /// Time since some fixed moment, never running backwards: for script budgets and traces.
    fn clock() -> Duration;

    /// Time since 1970-01-01T00:00:00Z: for the validity of tokens and for scripts.
    fn now() -> Duration;
}
