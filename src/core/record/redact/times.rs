//! Times: those around the login keep their distance from it, others keep no more than how long ago they are.

use std::{collections::HashMap, time::Duration};

use jiff::{
    civil::{Date, DateTime},
    tz::Offset,
};

use crate::core::record::words::Words;

const DAY: i64 = 24 * 3600;
/// Spans of ages in days, as rules tell them apart: of this year, a child, a minor, an adult.
const AGES: [(i64, i64); 5] = [(2, 360), (370, 4700), (4760, 6500), (6600, 7600), (7700, 20_000)];

#[derive(Debug)]
pub(super) struct Times {
    now: i64,
    then: i64,
    moved: HashMap<i64, i64>,
}

impl Times {
    pub(super) fn new(now: Duration, then: Duration) -> Self {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or_default();
        Times { now: seconds(now), then: seconds(then), moved: HashMap::new() }
    }

    /// Another moment: as far from the login if it is a day before it or later, as long ago otherwise.
    fn moment(&mut self, moment: i64, words: &mut Words) -> i64 {
        if moment >= self.now - DAY {
            return moment.saturating_add(self.then - self.now);
        }
        if let Some(known) = self.moved.get(&moment) {
            return *known;
        }
        let days = (self.now - moment) / DAY;
        let (from, to) = *AGES.iter().find(|(_, to)| days <= *to).unwrap_or(&AGES[AGES.len() - 1]);
        let random = |words: &mut Words, bound: i64| words.number(bound.unsigned_abs()) as i64;
        let moved = self.then - (from + random(words, to - from)) * DAY - random(words, DAY);
        self.moved.insert(moment, moved);
        moved
    }

    /// Seconds since 1970, or milliseconds.
    pub(super) fn epoch(&mut self, (seconds, unit): (i64, i64), words: &mut Words, digits: &str) -> String {
        let rest = digits.parse::<i64>().unwrap_or_default() % unit;
        (self.moment(seconds, words) * unit + rest).to_string()
    }

    /// A date and a time of day, in whatever zone.
    pub(super) fn date_time(&mut self, time: DateTime, words: &mut Words) -> Option<DateTime> {
        let moment = Offset::UTC.to_timestamp(time).ok()?.as_second();
        Some(Offset::UTC.to_datetime(jiff::Timestamp::from_second(self.moment(moment, words)).ok()?))
    }

    pub(super) fn date(&mut self, date: Date, words: &mut Words) -> Option<Date> {
        self.date_time(date.to_datetime(jiff::civil::Time::midnight()), words).map(DateTime::date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_what_a_rule_may_ask_of_it() {
        let (now, then) = (1_790_964_251, 1_767_225_600);
        let mut times = Times::new(Duration::from_secs(now), Duration::from_secs(then));
        let mut words = Words::default();
        let (now, then) = (now as i64, then as i64);
        assert_eq!(times.moment(now + 3600, &mut words), then + 3600);
        assert_eq!(times.moment(now - 3600, &mut words), then - 3600);
        for (days, from, to) in
            [(3, 2, 361), (400, 370, 4701), (5000, 4760, 6501), (7000, 6600, 7601), (15_000, 7700, 20_001)]
        {
            let moved = times.moment(now - days * DAY, &mut words);
            let age = (then - moved) / DAY;
            assert!((from..=to).contains(&age), "{days} {age}");
            assert_eq!(times.moment(now - days * DAY, &mut words), moved);
        }
    }
}
