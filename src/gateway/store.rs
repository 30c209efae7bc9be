//! What the requests of all workers share: moka keeps it, and has it made once however many wait for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};

use crate::core::store::{Entry, Key};

/// Entries that are kept; the least useful go first.
const MAX_ENTRIES: u64 = 10_000;

/// A store; clones are the same one.
#[derive(Clone, Debug)]
pub struct Store(Cache<Key, Entry>);

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Store(Cache::builder().max_capacity(MAX_ENTRIES).expire_after(Lifetime).build())
    }

    /// The entry under a key, made first if it is not there. Of those who want it at the same time one makes it;
    /// if that one goes away, the next does.
    pub(super) async fn get<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.0.try_get_with_by_ref(key, make).await.map_err(Arc::unwrap_or_clone)
    }

    /// Takes an entry away, unless another has come in its place.
    pub(super) async fn forget(&self, key: &Key, stale: &Entry) {
        if self.0.get(key).await.as_ref() == Some(stale) {
            self.0.invalidate(key).await;
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
    async fn a_failure_is_told_and_not_kept() {
        let store = Store::new();
        let key = Key::new("test", &[]);
        assert_eq!(store.get(&key, async { Err("no") }).await, Err("no"));
        assert_eq!(store.get(&key, async { Ok::<_, &str>(entry("then")) }).await, Ok(entry("then")));
    }
}
