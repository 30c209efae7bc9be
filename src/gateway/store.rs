//! What the requests of all workers share: moka keeps it, and has it made once however many wait for it. What is known
//! of the upstreams is shared as well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};
use rustls::crypto::ring;

use super::manners::Manners;
use crate::{
    config::Settings,
    core::store::{Entry, Key, Kind, Seal},
};

/// Entries of our own that are kept; the least useful go first.
const MAX_ENTRIES: u64 = 10_000;

/// A store; clones are the same one. What it keeps holds for one set of settings: they say where upstreams are.
#[derive(Clone, Debug)]
pub struct Store {
    /// Tokens of our own and keys of issuers. No flood of callers can push them out.
    ours: Cache<Key, Entry>,
    answers: Cache<Key, Entry>,
    seal: Option<Arc<Seal>>,
    /// What is known of the upstreams.
    pub(super) manners: Arc<Manners>,
}

impl Store {
    /// An empty store, for the usual settings.
    pub fn new() -> Self {
        Store::with(&Settings::default())
    }

    /// An empty store.
    pub fn with(settings: &Settings) -> Self {
        let builder = || Cache::builder().expire_after(Lifetime);
        let weigh = |_: &Key, entry: &Entry| u32::try_from(entry.weight()).unwrap_or(u32::MAX);
        let mut key = [0; 32];
        // Without randomness nothing is kept of answers.
        let random = ring::default_provider().secure_random.fill(&mut key);
        Store {
            ours: builder().max_capacity(MAX_ENTRIES).build(),
            answers: builder().max_capacity(settings.cache.max_bytes).weigher(weigh).build(),
            seal: random.is_ok().then(|| Arc::new(Seal::new(&key))),
            manners: Arc::new(Manners::new(settings)),
        }
    }

    /// An empty store for one request, that knows the same of the upstreams. It keeps no answers.
    pub(super) fn apart(&self) -> Self {
        let cache = || Cache::builder().max_capacity(MAX_ENTRIES).expire_after(Lifetime).build();
        Store { ours: cache(), answers: cache(), seal: None, manners: self.manners.clone() }
    }

    /// Entries and bytes of answers, about: what is new or gone of late may not be counted yet.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.answers.entry_count(), self.answers.weighted_size())
    }

    fn of(&self, key: &Key) -> &Cache<Key, Entry> {
        match key.kind() {
            Kind::Ours => &self.ours,
            Kind::Answer | Kind::Flight => &self.answers,
        }
    }

    /// What makes the names of answers.
    pub fn seal(&self) -> Option<&Seal> {
        self.seal.as_deref()
    }

    /// The entry under a key.
    pub async fn recall(&self, key: &Key) -> Option<Entry> {
        self.of(key).get(key).await
    }

    /// Puts an entry there, whatever stood there before.
    pub async fn keep(&self, key: &Key, entry: Entry) {
        self.of(key).insert(*key, entry).await;
    }

    /// The entry under a key, made first if it is not there. Of those who want it at the same time one makes it;
    /// if that one goes away, the next does.
    pub async fn get<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.of(key).try_get_with_by_ref(key, make).await.map_err(Arc::unwrap_or_clone)
    }

    /// Takes an entry away, unless another has come in its place.
    pub async fn forget(&self, key: &Key, stale: &Entry) {
        let cache = self.of(key);
        if cache.get(key).await.as_ref() == Some(stale) {
            cache.invalidate(key).await;
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Store::new()
    }
}

/// Each entry says itself how long it lives.
struct Lifetime;

impl Expiry<Key, Entry> for Lifetime {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }

    fn expire_after_update(&self, _: &Key, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::core::{Secret, store::Stored};

    fn entry(token: &str) -> Entry {
        Entry { value: Stored::AccessToken(Secret::new(token)), lifetime: Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn what_many_want_at_once_is_made_once_and_forgotten_once() {
        let store = Store::new();
        let key = Key::new("test", &[]);
        let made = std::sync::atomic::AtomicU32::new(0);
        let make = async || {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, String>(entry("first"))
        };
        let all = join_all((0..1000).map(|_| store.get(&key, make()))).await;
        assert!(all.iter().all(|got| got.as_ref() == Ok(&entry("first"))));
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 1);
        store.forget(&key, &entry("another")).await;
        assert_eq!(store.get(&key, async { Ok::<_, String>(entry("second")) }).await, Ok(entry("first")));
        store.forget(&key, &entry("first")).await;
        assert_eq!(store.get(&key, async { Ok::<_, String>(entry("second")) }).await, Ok(entry("second")));
    }

    #[tokio::test]
    async fn what_lives_for_no_time_is_shared_and_not_kept() {
        let store = Store::new();
        let key = store.seal().expect("there is randomness").name("test").key();
        for flight in [key.flight(), key] {
            for round in 0..3 {
                let now = Entry { lifetime: Duration::ZERO, ..entry(&format!("round {round}")) };
                let made = std::sync::atomic::AtomicU32::new(0);
                let make = async || {
                    made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok::<_, String>(now.clone())
                };
                let all = join_all((0..200).map(|_| store.get(&flight, make()))).await;
                assert!(all.iter().all(|got| got.as_ref() == Ok(&now)));
                assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 1, "{round}");
                assert_eq!(store.recall(&flight).await, None);
            }
        }
    }

    #[tokio::test]
    async fn whoever_leads_and_goes_away_takes_nobody_along() {
        let store = Store::new();
        let key = store.seal().expect("there is randomness").name("test").key().flight();
        let mut leader = Box::pin(store.get(&key, std::future::pending::<Result<Entry, String>>()));
        assert!(futures_util::FutureExt::now_or_never(&mut leader).is_none());
        let mut follower = Box::pin(store.get(&key, async { Ok::<_, String>(entry("second")) }));
        assert!(futures_util::FutureExt::now_or_never(&mut follower).is_none(), "it waits");
        drop(leader);
        assert_eq!(follower.await, Ok(entry("second")));
    }

    #[tokio::test]
    async fn answers_take_no_more_room_than_they_are_given_and_push_out_nothing_of_ours() {
        let mut settings = Settings::default();
        settings.cache.max_bytes = 100_000;
        let store = Store::with(&settings);
        let ours = Key::new("ours", &[]);
        store.keep(&ours, entry("ours")).await;
        let body = bytes::Bytes::from(vec![b'x'; 1000]);
        let seal = store.seal().expect("there is randomness");
        for number in 0..1000_u32 {
            let value = Stored::Claims { body: body.clone(), until: Duration::MAX };
            let key = seal.name("test").part(number.to_be_bytes()).key();
            store.keep(&key, Entry { value, lifetime: Duration::from_secs(60) }).await;
        }
        store.answers.run_pending_tasks().await;
        assert!(store.answers.weighted_size() <= 100_000, "{} bytes", store.answers.weighted_size());
        assert!(store.answers.entry_count() > 50, "{} entries", store.answers.entry_count());
        assert_eq!(store.recall(&ours).await, Some(entry("ours")));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let store = Store::new();
        let key = Key::new("test", &[]);
        assert_eq!(store.get(&key, async { Err("no") }).await, Err("no"));
        assert_eq!(store.get(&key, async { Ok::<_, &str>(entry("then")) }).await, Ok(entry("then")));
    }
}
