//! Addresses from which too much comes that is refused.
//!
//! After a number of refusals an address has to wait. Then one request is let through; if that is
//! refused too, the wait is twice as long, and if it is good, half as long. What is known to be good does not come
//! here. An address that keeps quiet for a while after its wait is forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Block, rate::seconds};
use crate::config::Throttle as Settings;

/// Addresses that are remembered: a few megabytes.
const ROOM: usize = 65_536;

/// Whose refusals count together: what one does with the key is not put down to those beside it who have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// No key is asked for.
    Open,
    /// It has the key.
    Key,
    /// It has none, or asks for what is not there.
    Nothing,
}

type Who = (Block, Standing);

/// What is remembered of addresses.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<Who, Record>>);

/// What is remembered of one.
#[derive(Clone, Copy, Debug)]
struct Record {
    refused: u32,
    /// When the first of them was.
    since: Duration,
    /// How often it has had to wait; 0 if it does not.
    step: u32,
    /// Until when it waits.
    until: Duration,
    /// The one request that is let through after the wait is on its way.
    trying: bool,
}

impl Record {
    fn is_over(&self, settings: &Settings, now: Duration) -> bool {
        let last = if self.step == 0 { self.since } else { self.until };
        now > last.saturating_add(settings.window.0)
    }

    fn wait(&self, settings: &Settings) -> Duration {
        let longer = 1_u32.checked_shl(self.step.saturating_sub(1)).unwrap_or(u32::MAX);
        settings.delay.0.saturating_mul(longer).min(settings.max_delay.0)
    }
}

impl Throttle {
    /// Whether an address has to wait, or is about to try whether it still has to.
    pub(super) fn is_watched(&self, who: Who, settings: &Settings, now: Duration) -> bool {
        self.lock().get(&who).is_some_and(|record| record.step > 0 && !record.is_over(settings, now))
    }

    /// Lets a request through, if its address need not wait.
    ///
    /// # Errors
    /// The seconds that it has to wait.
    pub(super) fn enter(&self, who: Who, settings: &Settings, now: Duration) -> Result<(), u64> {
        let mut records = self.lock();
        let Some(record) = records.get_mut(&who).filter(|record| record.step > 0) else { return Ok(()) };
        if record.is_over(settings, now) {
            records.remove(&who);
            return Ok(());
        }
        if let Some(left) = record.until.checked_sub(now).filter(|left| !left.is_zero()) {
            return Err(seconds(left));
        }
        // The others wait for what comes of it, or as long again if nothing does.
        record.trying = true;
        record.until = now + record.wait(settings);
        Ok(())
    }

    /// A request was refused.
    pub(super) fn refused(&self, who: Who, settings: &Settings, now: Duration) {
        let mut records = self.lock();
        if records.len() >= ROOM && !records.contains_key(&who) {
            make_room(&mut records, settings, now);
        }
        let new = Record { refused: 0, since: now, step: 0, until: Duration::ZERO, trying: false };
        let record = records.entry(who).or_insert(new);
        if record.is_over(settings, now) {
            *record = new;
        }
        match record.step {
            0 => {
                record.refused = record.refused.saturating_add(1);
                if record.refused < settings.after {
                    return;
                }
                record.step = 1;
            }
            // It was on its way before the wait began.
            _ if !record.trying => return,
            _ => record.step = record.step.saturating_add(1),
        }
        record.trying = false;
        record.until = now + record.wait(settings);
    }

    /// A request turned out to be good, of which that was not known.
    pub(super) fn good(&self, who: Who, now: Duration) {
        let mut records = self.lock();
        let Some(record) = records.get_mut(&who).filter(|record| record.trying) else { return };
        record.step -= 1;
        if record.step == 0 {
            records.remove(&who);
        } else {
            record.trying = false;
            record.until = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Who, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has more addresses than there is room for has no use for waiting with one of them.
fn make_room(records: &mut HashMap<Who, Record>, settings: &Settings, now: Duration) {
    records.retain(|_, record| !record.is_over(settings, now));
    // Not to be here again soon.
    if records.len() > ROOM / 2 {
        records.retain(|_, record| record.step > 0);
    }
    if records.len() > ROOM / 2 {
        tracing::debug!("more are refused than are remembered: all begin anew");
        records.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::config::Span;

    const SETTINGS: Settings = Settings {
        after: 3,
        window: Span(Duration::from_secs(60)),
        delay: Span(Duration::from_secs(1)),
        max_delay: Span(Duration::from_secs(10)),
    };

    fn who(last: u8) -> Who {
        (Block::of(IpAddr::from([192, 0, 2, last])), Standing::Open)
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_wait_grows_with_each_refusal_and_ends_with_quiet() {
        let throttle = Throttle::default();
        let enter = |millis| throttle.enter(who(1), &SETTINGS, at(millis));
        let refused = |millis| throttle.refused(who(1), &SETTINGS, at(millis));
        for millis in [0, 10, 20] {
            assert_eq!(enter(millis), Ok(()));
            refused(millis);
        }
        let mut now = 20;
        // Each time one is let through, and is refused.
        for wait in [1, 2, 4, 8, 10, 10] {
            assert_eq!(enter(now + 1), Err(wait), "after {now} ms");
            assert!(throttle.is_watched(who(1), &SETTINGS, at(now)));
            assert_eq!(throttle.enter(who(2), &SETTINGS, at(now)), Ok(()), "another address is free");
            now += wait * 1000;
            assert_eq!(enter(now), Ok(()));
            assert!(enter(now).is_err(), "one is let through, and no second");
            refused(now);
            refused(now);
        }
        now += 10_000 + 60_000;
        assert!(throttle.is_watched(who(1), &SETTINGS, at(now)));
        assert!(!throttle.is_watched(who(1), &SETTINGS, at(now + 1)));
        assert_eq!(enter(now + 1), Ok(()));
        assert!(throttle.lock().is_empty(), "it is forgotten");
    }

    #[test]
    fn refusals_that_lie_far_apart_are_no_guessing() {
        let throttle = Throttle::default();
        for number in 0..100 {
            let now = at(number * 31_000);
            assert_eq!(throttle.enter(who(1), &SETTINGS, now), Ok(()), "{number}");
            throttle.refused(who(1), &SETTINGS, now);
        }
    }

    #[test]
    fn those_on_their_way_when_the_wait_began_do_not_lengthen_it() {
        let throttle = Throttle::default();
        (0..100).for_each(|_| throttle.refused(who(1), &SETTINGS, at(0)));
        assert_eq!(throttle.enter(who(1), &SETTINGS, at(0)), Err(1));
    }

    #[test]
    fn a_good_one_shortens_the_wait() {
        let throttle = Throttle::default();
        let enter = |millis| throttle.enter(who(1), &SETTINGS, at(millis));
        (0..3).for_each(|_| throttle.refused(who(1), &SETTINGS, at(0)));
        throttle.good(who(1), at(0));
        assert_eq!(enter(0), Err(1), "it was on its way before");
        assert_eq!(enter(1000), Ok(()));
        throttle.refused(who(1), &SETTINGS, at(1000));
        assert_eq!(enter(3000), Ok(()));
        throttle.good(who(1), at(3000));
        assert_eq!(enter(3000), Ok(()), "the next need not wait");
        throttle.good(who(1), at(3000));
        assert!(!throttle.is_watched(who(1), &SETTINGS, at(3000)));
        // One of which nothing comes, as of a client that went away, is no end of it.
        (0..3).for_each(|_| throttle.refused(who(1), &SETTINGS, at(4000)));
        assert_eq!([enter(5000), enter(5000), enter(6000)], [Ok(()), Err(1), Ok(())]);
    }

    #[test]
    fn a_hundred_thousand_addresses_take_the_room_that_there_is() {
        let throttle = Throttle::default();
        let guesser = who(1);
        (0..3).for_each(|_| throttle.refused(guesser, &SETTINGS, at(0)));
        for number in 0..100_000_u32 {
            let address = IpAddr::from(Ipv4Addr::from_bits(number));
            throttle.refused((Block::of(address), Standing::Open), &SETTINGS, at(1));
            assert!(throttle.lock().len() <= ROOM, "after {address}");
        }
        assert_eq!(throttle.enter(guesser, &SETTINGS, at(1)), Err(1), "who waits is remembered longest");
        for number in 0..100_000_u32 {
            let sprayer = (Block::of(Ipv4Addr::from_bits(number).into()), Standing::Nothing);
            (0..3).for_each(|_| throttle.refused(sprayer, &SETTINGS, at(2)));
            assert!(throttle.lock().len() <= ROOM, "after {number}");
        }
        assert!(throttle.lock().capacity() < 4 * ROOM);
    }
}
