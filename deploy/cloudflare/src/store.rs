//! What an isolate keeps between requests, bounded, with expiry by the host's clock.
//!
//! A request of a Worker may not wait for another one's promises, so nothing is shared while it is on its way.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    time::Duration,
};

use claimsmith::core::store::{Entry, Key, Kind, Seal};

/// Entries of our own that are kept: tokens, keys of issuers.
const MAX_OURS: usize = 1000;
/// Answers that are kept, whatever they weigh.
const MAX_ANSWERS: usize = 10_000;

/// The store of an isolate.
pub struct Store {
    ours: RefCell<Shelf>,
    answers: RefCell<Shelf>,
    /// What makes the names of answers.
    pub seal: Seal,
}

/// Entries in the order in which they came: the oldest goes first.
#[derive(Default)]
struct Shelf {
    entries: HashMap<Key, (Entry, Duration, u64)>,
    order: VecDeque<(Key, u64)>,
    weight: usize,
    next: u64,
    most: usize,
    heaviest: usize,
}

impl Store {
    /// An empty store, with a random key, for so many bytes of answers.
    pub fn new(key: &[u8; 32], max_bytes: usize) -> Self {
        let shelf = |most, heaviest| RefCell::new(Shelf { most, heaviest, ..Shelf::default() });
        Store { ours: shelf(MAX_OURS, usize::MAX), answers: shelf(MAX_ANSWERS, max_bytes), seal: Seal::new(key) }
    }

    fn of(&self, key: &Key) -> &RefCell<Shelf> {
        if key.kind() == Kind::Ours { &self.ours } else { &self.answers }
    }

    /// The entry under a key, if its lifetime is not over.
    pub fn recall(&self, key: &Key, now: Duration) -> Option<Entry> {
        self.of(key).borrow_mut().get(key, now)
    }

    /// Puts an entry there, whatever stood there before.
    pub fn keep(&self, key: &Key, entry: Entry, now: Duration) {
        self.of(key).borrow_mut().put(key, entry, now);
    }

    /// Takes an entry away, unless another has come in its place.
    pub fn forget(&self, key: &Key, stale: &Entry) {
        let mut shelf = self.of(key).borrow_mut();
        if shelf.entries.get(key).is_some_and(|(entry, ..)| entry == stale) {
            shelf.remove(key);
        }
    }
}

impl Shelf {
    fn get(&mut self, key: &Key, now: Duration) -> Option<Entry> {
        let (entry, until, _) = self.entries.get(key)?;
        if now < *until {
            return Some(entry.clone());
        }
        self.remove(key);
        None
    }

    fn put(&mut self, key: &Key, entry: Entry, now: Duration) {
        self.remove(key);
        let weight = entry.weight();
        if entry.lifetime.is_zero() || weight > self.heaviest {
            return;
        }
        while self.entries.len() >= self.most || self.weight + weight > self.heaviest {
            let Some((oldest, number)) = self.order.pop_front() else { break };
            // Its place may have been taken by a later one.
            if self.entries.get(&oldest).is_some_and(|(_, _, own)| *own == number) {
                self.remove(&oldest);
            }
        }
        self.next += 1;
        self.weight = self.weight.saturating_add(weight);
        self.order.push_back((*key, self.next));
        let until = now.saturating_add(entry.lifetime);
        self.entries.insert(*key, (entry, until, self.next));
        // Those that were replaced leave their place in the order.
        if self.order.len() > 2 * self.most {
            let entries = &self.entries;
            self.order.retain(|(key, number)| entries.get(key).is_some_and(|(_, _, own)| own == number));
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some((entry, ..)) = self.entries.remove(key) {
            self.weight = self.weight.saturating_sub(entry.weight());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use claimsmith::core::store::Stored;

    use super::*;

    fn entry(seconds: u64) -> Entry {
        let value = Stored::Claims { body: Bytes::from(vec![b'x'; 1000]), until: Duration::MAX };
        Entry { value, lifetime: Duration::from_secs(seconds) }
    }

    #[test]
    fn an_entry_is_there_until_its_time_is_over() {
        let store = Store::new(&[7; 32], 1 << 20);
        let key = store.seal.name("test").key();
        let at = Duration::from_secs;
        store.keep(&key, entry(10), at(100));
        assert_eq!(store.recall(&key, at(109)), Some(entry(10)));
        assert_eq!(store.recall(&key, at(110)), None);
        store.keep(&key, entry(10), at(100));
        store.forget(&key, &entry(11));
        assert!(store.recall(&key, at(101)).is_some(), "another one came in its place");
        store.forget(&key, &entry(10));
        assert_eq!(store.recall(&key, at(101)), None);
        store.keep(&key, entry(0), at(100));
        assert_eq!(store.recall(&key, at(100)), None);
    }

    #[test]
    fn answers_stay_within_their_bytes_and_the_oldest_go() {
        let store = Store::new(&[7; 32], 100_000);
        let key = |number: u32| store.seal.name("test").part(number.to_be_bytes()).key();
        for number in 0..30_000 {
            store.keep(&key(number), entry(60), Duration::ZERO);
            // The same one again and again leaves nothing behind.
            store.keep(&key(0), entry(60), Duration::ZERO);
            let shelf = store.answers.borrow();
            assert!(shelf.weight <= 100_000 && shelf.order.len() <= 2 * MAX_ANSWERS + 1);
        }
        assert!(store.recall(&key(29_999), Duration::ZERO).is_some());
        assert!(store.recall(&key(29_000), Duration::ZERO).is_none());
        assert!(store.answers.borrow().entries.len() > 50);
    }
}
