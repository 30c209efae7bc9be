//! How often one address, or one token, may ask: a bucket each, by `governor`.
//!
//! There is room for a number of them. When it is full those go that are as if they had never asked, and if that frees
//! too little, all: whoever has more addresses than that is held back by no limit of one address.

use std::{
    collections::HashMap,
    hash::Hash,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use super::{Block, Key};
use crate::config::Limit;

/// Addresses, or tokens, that one limiter remembers: a few megabytes.
const ROOM: usize = 65_536;

/// All limiters, by the rule to which they belong; `None` for those of the others together.
#[derive(Default)]
pub(super) struct Limiters {
    clients: Shelf<Block>,
    tokens: Shelf<Key>,
}

/// Limiters of one kind: those that are used now, and those that were before.
struct Shelf<K: Hash + Eq + Clone> {
    now: Vec<Place<K>>,
    before: Vec<Place<K>>,
}

struct Place<K: Hash + Eq + Clone> {
    rule: Option<String>,
    limit: Limit,
    limiter: Arc<Limiter<K>>,
}

/// A bucket for each of many.
pub(super) struct Limiter<K: Hash + Eq + Clone> {
    governor: RateLimiter<K, Buckets<K>, Clock, NoOpMiddleware<Duration>>,
    buckets: Buckets<K>,
}

/// When each bucket will be full again. Those of `governor` itself cannot be emptied.
struct Buckets<K>(Arc<Mutex<HashMap<K, Nanos>>>);

impl<K> Buckets<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.lock();
        let bucket = buckets.get_mut(key);
        let (decision, full) = decide(bucket.as_deref().copied())?;
        match bucket {
            Some(bucket) => *bucket = full,
            None => {
                buckets.insert(key.clone(), full);
            }
        }
        Ok(decision)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Buckets<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().retain(|_, full| *full > drop_below);
    }

    fn shrink_to_fit(&self) {
        self.lock().shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

/// The gateway's clock.
#[derive(Clone, Copy, Debug)]
struct Clock(fn() -> Duration);

impl clock::Clock for Clock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

impl Limiters {
    /// Begins anew; what is asked for as it was before, stays as it is.
    pub(super) fn renew(&mut self) {
        self.clients.renew();
        self.tokens.renew();
    }

    /// Lets go of what was not asked for.
    pub(super) fn settle(&mut self) {
        self.clients.before.clear();
        self.tokens.before.clear();
    }

    pub(super) fn of_clients(&mut self, rule: Option<&str>, limit: Limit) -> Option<Arc<Limiter<Block>>> {
        self.clients.of(rule, limit)
    }

    pub(super) fn of_tokens(&mut self, rule: Option<&str>, limit: Limit) -> Option<Arc<Limiter<Key>>> {
        self.tokens.of(rule, limit)
    }
}

impl<K: Hash + Eq + Clone> Default for Shelf<K> {
    fn default() -> Self {
        Shelf { now: Vec::new(), before: Vec::new() }
    }
}

impl<K: Hash + Eq + Clone> Shelf<K> {
    fn renew(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    fn of(&mut self, rule: Option<&str>, limit: Limit) -> Option<Arc<Limiter<K>>> {
        let Limit::At { count, seconds } = limit else { return None };
        let is_it = |place: &&Place<K>| place.rule.as_deref() == rule && place.limit == limit;
        if let Some(place) = self.now.iter().find(is_it) {
            return Some(place.limiter.clone());
        }
        let old = self.before.iter().find(is_it).map(|place| place.limiter.clone());
        let limiter = old.unwrap_or_else(|| Arc::new(Limiter::new(count, seconds, super::clock)));
        self.now.push(Place { rule: rule.map(str::to_owned), limit, limiter: limiter.clone() });
        Some(limiter)
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(count: NonZeroU32, seconds: u32, clock: fn() -> Duration) -> Self {
        // A nanosecond at least: `governor` has no smaller step.
        let each = (Duration::from_secs(seconds.into()) / count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(count)).allow_burst(count);
        let buckets = Buckets(Arc::default());
        Limiter { governor: RateLimiter::new(quota, Buckets(buckets.0.clone()), Clock(clock)), buckets }
    }

    /// Takes from the bucket of one of them.
    ///
    /// # Errors
    /// The seconds until there is something in it again.
    pub(super) fn take(&self, key: &K) -> Result<(), u64> {
        let now = clock::Clock::now(self.governor.clock());
        let taken = self.governor.check_key(key).map_err(|not_until| seconds(not_until.wait_time_from(now)));
        if self.buckets.len() > ROOM {
            self.make_room();
        }
        taken
    }

    fn make_room(&self) {
        self.governor.retain_recent();
        let mut buckets = self.buckets.lock();
        // Not to be here again soon.
        if buckets.len() > ROOM / 2 {
            tracing::debug!("more ask than are remembered: they all begin anew");
            buckets.clear();
        }
    }
}

/// Whole seconds, and one at least.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0).max(u64::from(wait.is_zero()))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr, Ipv6Addr},
        sync::atomic::{AtomicU64, Ordering},
    };

    use super::*;

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).expect("more than none")
    }

    #[test]
    fn one_address_asks_as_often_as_it_may_and_no_other_suffers() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let limiter = Limiter::new(count(10), 60, || Duration::from_millis(NOW.load(Ordering::Relaxed)));
        let [one, other] = [1, 2].map(|last| Block::of(IpAddr::from([192, 0, 2, last])));
        assert_eq!((0..10).filter(|_| limiter.take(&one).is_ok()).count(), 10);
        assert_eq!(limiter.take(&one), Err(6), "one is added every six seconds");
        assert_eq!(limiter.take(&other), Ok(()));
        NOW.store(5_500, Ordering::Relaxed);
        assert_eq!(limiter.take(&one), Err(1));
        NOW.store(6_000, Ordering::Relaxed);
        assert_eq!([limiter.take(&one), limiter.take(&one)], [Ok(()), Err(6)]);
        NOW.store(66_000, Ordering::Relaxed);
        assert_eq!((0..20).filter(|_| limiter.take(&one).is_ok()).count(), 10, "it is full again, and not more");
    }

    #[test]
    fn a_hundred_thousand_addresses_take_the_room_that_there_is() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let limiter = Limiter::new(count(1), 3600, || Duration::from_nanos(NOW.fetch_add(1, Ordering::Relaxed)));
        for number in 0..100_000_u32 {
            let address = IpAddr::from(Ipv4Addr::from_bits(number));
            assert_eq!(limiter.take(&Block::of(address)), Ok(()), "{address} asks for the first time");
            assert!(limiter.buckets.len() <= ROOM, "after {address}");
        }
        // All of one network of IPv6 are one.
        let before = limiter.buckets.len();
        let of = |number: u128| Block::of(Ipv6Addr::from_bits((0x2001_0db8 << 96) + number).into());
        let passed = (0..100_000).filter(|number| limiter.take(&of(*number)).is_ok()).count();
        assert_eq!((passed, limiter.buckets.len()), (1, before + 1));
        assert!(limiter.buckets.lock().capacity() < 4 * ROOM);
    }

    #[test]
    fn those_who_could_ask_again_anyway_go_first() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let limiter = Limiter::new(count(1), 60, || Duration::from_secs(NOW.load(Ordering::Relaxed)));
        let of = |number: usize| Block::of(Ipv4Addr::from_bits(number as u32).into());
        (0..ROOM - 1).for_each(|number| assert_eq!(limiter.take(&of(number)), Ok(())));
        NOW.store(200, Ordering::Relaxed);
        let late = of(ROOM);
        assert_eq!(limiter.take(&late), Ok(()));
        assert_eq!(limiter.take(&of(ROOM + 1)), Ok(()), "it makes room");
        assert_eq!(limiter.buckets.len(), 2);
        assert_eq!(limiter.take(&late), Err(60), "and is remembered");
    }

    #[test]
    fn a_limit_that_stays_as_it_is_goes_on() {
        let limit = |text: &str| text.parse::<Limit>().expect("a rate");
        let mut limiters = Limiters::default();
        let first = limiters.of_clients(None, limit("10/s")).expect("there is one");
        let own = limiters.of_clients(Some("acme"), limit("10/s")).expect("there is one");
        assert!(!Arc::ptr_eq(&first, &own) && limiters.of_clients(None, Limit::Off).is_none());
        limiters.renew();
        assert!(Arc::ptr_eq(&first, &limiters.of_clients(None, limit("10/s")).expect("there is one")));
        limiters.settle();
        limiters.renew();
        assert!(!Arc::ptr_eq(&first, &limiters.of_clients(None, limit("20/s")).expect("there is one")));
        assert!(!Arc::ptr_eq(&own, &limiters.of_clients(Some("acme"), limit("10/s")).expect("there is one")));
    }
}
