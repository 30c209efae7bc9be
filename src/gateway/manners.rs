//! Manners towards upstreams, an origin at a time: how many requests it gets at once, when it is left alone because it
//! fails, when a caller's requests are held back because it said so, and how many attempts may be repeated.
//!
//! All workers share them. Nothing here waits or sends; whoever asks says what time it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use http::header;

use super::metrics::BOUNDS;
use crate::{
    config::Settings,
    core::{Answer, FetchError, Spare, store::Key},
};

/// Origins that are told apart; rules name far fewer.
const MAX_ORIGINS: usize = 4096;
/// Callers of one origin that are held back.
const MAX_HELD: usize = 10_000;
/// Repeated attempts that every origin may get whatever was sent before, so that one lonely request may be repeated too.
const RESERVE: u32 = 10;
/// A call that ends by a limit of its own shorter than this says little about the upstream.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever gave a request up after this long did so because of the upstream: receivers wait for five seconds or more.
const LONG: Duration = Duration::from_secs(2);

/// What all origins get.
#[derive(Clone, Copy, Debug)]
struct Limits {
    at_once: usize,
    /// Failures in a row after which an origin is left alone; never for 0.
    trip_after: u32,
    probe_every: Duration,
    longest_hold: Duration,
    /// Percent.
    repeats: u32,
    /// A request that was given up after so long was given up because of the upstream.
    given_up_after: Duration,
}

/// The origins that were asked, with what is known of them.
#[derive(Debug)]
pub(super) struct Manners {
    limits: Limits,
    origins: RwLock<HashMap<Box<str>, Arc<Origin>>>,
}

/// What is known of one origin.
#[derive(Debug)]
pub(super) struct Origin {
    limits: Limits,
    state: Mutex<State>,
}

/// What was counted of an origin, by those who hold its lock anyway.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Those among them that failed, as far as the breaker minds.
    pub(super) failed: u64,
    /// Requests that were not sent: it rests, wants none of this caller, has as many as it may get.
    pub(super) spared: [u64; 3],
    /// Attempts that were made once more.
    pub(super) repeated: u64,
    /// Attempts that were not, as the budget was spent.
    pub(super) unrepeated: u64,
    /// How long requests took, by [`super::metrics::BOUNDS`].
    pub(super) durations: [u64; BOUNDS.len() + 1],
    pub(super) micros: u64,
    /// Requests on their way.
    pub(super) busy: u64,
    /// It is left alone.
    pub(super) rests: bool,
}

impl Counts {
    /// Adds those of another origin.
    pub(super) fn add(&mut self, other: &Counts) {
        self.sent += other.sent;
        self.failed += other.failed;
        self.spared.iter_mut().zip(other.spared).for_each(|(sum, more)| *sum += more);
        self.repeated += other.repeated;
        self.unrepeated += other.unrepeated;
        self.durations.iter_mut().zip(other.durations).for_each(|(sum, more)| *sum += more);
        self.micros += other.micros;
        self.busy += other.busy;
        self.rests |= other.rests;
    }
}

#[derive(Debug)]
struct State {
    counts: Counts,
    busy: usize,
    failures: u32,
    /// It is left alone until then; afterwards one request is a probe.
    rests: Option<Duration>,
    /// Hundredths of an attempt that may be repeated.
    budget: u32,
    held: HashMap<Key, Duration>,
}

/// A request on its way to an origin.
#[derive(Debug)]
pub(super) struct Pass {
    origin: Arc<Origin>,
    began: Duration,
    clock: fn() -> Duration,
    probe: bool,
    done: bool,
}

impl Manners {
    pub(super) fn new(settings: &Settings) -> Self {
        let upstream = &settings.upstream;
        let limits = Limits {
            at_once: upstream.max_per_origin,
            trip_after: upstream.trip_after,
            probe_every: upstream.probe_every.0,
            longest_hold: upstream.max_hold.0,
            repeats: upstream.retry_budget.min(100),
            given_up_after: LONG.min(settings.deadline.0 / 2),
        };
        Manners { limits, origins: RwLock::default() }
    }

    /// All origins that were asked, with what was counted of them.
    pub(super) fn counts(&self) -> Vec<(Box<str>, Counts)> {
        let origins = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        origins.iter().map(|(name, origin)| (name.clone(), origin.counts())).collect()
    }

    /// What is known of an origin: scheme, host and port, as a URL has them.
    pub(super) fn of(&self, origin: &str) -> Arc<Origin> {
        let known = self.origins.read().unwrap_or_else(PoisonError::into_inner).get(origin).cloned();
        known.unwrap_or_else(|| {
            let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
            if origins.len() >= MAX_ORIGINS {
                return Arc::new(Origin::new(self.limits));
            }
            origins.entry(origin.into()).or_insert_with(|| Arc::new(Origin::new(self.limits))).clone()
        })
    }
}

impl Origin {
    fn new(limits: Limits) -> Self {
        let state = State {
            counts: Counts::default(),
            busy: 0,
            failures: 0,
            rests: None,
            budget: RESERVE * 100,
            held: HashMap::new(),
        };
        Origin { limits, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request go there. `who` asks is looked up only while somebody is held back.
    ///
    /// # Errors
    /// Why it is not sent.
    pub(super) fn enter(
        self: &Arc<Self>,
        clock: fn() -> Duration,
        who: impl FnOnce() -> Option<Key>,
    ) -> Result<Pass, Spare> {
        let now = clock();
        let mut state = self.state();
        if !state.held.is_empty() {
            state.held.retain(|_, until| *until > now);
            if let Some(until) = who().and_then(|who| state.held.get(&who)) {
                let seconds = (*until - now).as_secs_f64().ceil() as u64;
                state.counts.spared[1] += 1;
                return Err(Spare::Limited(seconds));
            }
        }
        if state.busy >= self.limits.at_once {
            state.counts.spared[2] += 1;
            return Err(Spare::Busy);
        }
        let probe = match state.rests {
            None => false,
            Some(until) if now < until => {
                state.counts.spared[0] += 1;
                return Err(Spare::Resting);
            }
            Some(_) => true,
        };
        if probe {
            // The next one goes an interval later, whatever becomes of this one: it may hang.
            state.rests = Some(now + self.limits.probe_every);
        }
        state.busy += 1;
        state.counts.sent += 1;
        // Somewhat less than the share, as repeated attempts come by here too.
        let share = self.limits.repeats;
        state.budget = (state.budget + share * 100 / (100 + share)).min(RESERVE * 100);
        Ok(Pass { origin: self.clone(), began: now, clock, probe, done: false })
    }

    /// Whether one more attempt may be made of a request that was made before.
    pub(super) fn may_repeat(&self) -> bool {
        let mut state = self.state();
        let afforded = state.rests.is_none() && state.budget >= 100;
        state.budget -= if afforded { 100 } else { 0 };
        let counted = if afforded { &mut state.counts.repeated } else { &mut state.counts.unrepeated };
        *counted += 1;
        afforded
    }

    /// What was counted so far.
    pub(super) fn counts(&self) -> Counts {
        let state = self.state();
        Counts { busy: state.busy as u64, rests: state.rests.is_some(), ..state.counts.clone() }
    }

    /// Holds somebody's requests back for as long as the upstream asks for, within bounds.
    pub(super) fn hold(&self, who: Key, wait: Duration, now: Duration) {
        let mut state = self.state();
        if state.held.len() >= MAX_HELD {
            state.held.retain(|_, until| *until > now);
        }
        if state.held.len() < MAX_HELD && !self.limits.longest_hold.is_zero() {
            state.held.insert(who, now + wait.min(self.limits.longest_hold));
        }
    }
}

impl Pass {
    /// The request came to its end.
    pub(super) fn end(mut self, outcome: &Result<Answer, FetchError>) {
        let took = (self.clock)().saturating_sub(self.began);
        let failed = match outcome {
            Ok(answer) => Some(matches!(answer.status.as_u16(), 502..=504)),
            Err(FetchError::Connect(_) | FetchError::Broken(_)) => Some(true),
            Err(FetchError::Timeout) => (took >= PATIENCE).then_some(true),
            // It answered, if not as we like.
            Err(FetchError::TooLarge(_) | FetchError::Refused(_)) => Some(false),
            Err(FetchError::Spared(_) | FetchError::Barred(_)) => None,
        };
        self.leave(failed);
    }

    /// `failed` if it is known whether the upstream did.
    fn leave(&mut self, failed: Option<bool>) {
        self.done = true;
        let now = (self.clock)();
        let limits = &self.origin.limits;
        let mut state = self.origin.state();
        state.busy = state.busy.saturating_sub(1);
        let micros = u64::try_from(now.saturating_sub(self.began).as_micros()).unwrap_or(u64::MAX);
        state.counts.durations[BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len())] += 1;
        state.counts.micros = state.counts.micros.saturating_add(micros);
        state.counts.failed += u64::from(failed == Some(true));
        match failed {
            // Another one may find out.
            None if self.probe => state.rests = state.rests.map(|until| until.min(now)),
            None => {}
            Some(false) => {
                state.failures = 0;
                state.rests = None;
            }
            Some(true) => {
                state.failures = state.failures.saturating_add(1);
                let trips = limits.trip_after > 0 && state.failures >= limits.trip_after;
                // Those that were on their way when it was found to fail do not make it longer, nor do probes.
                if trips && state.rests.is_none() {
                    state.rests = Some(now + limits.probe_every);
                }
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.done {
            // The deadline came, or the caller went away; only the first is the upstream's doing.
            let took = (self.clock)().saturating_sub(self.began);
            self.leave((took >= self.origin.limits.given_up_after).then_some(true));
        }
    }
}

/// How long an upstream wants to be left alone by whoever got this answer; `now` is the time since 1970.
pub(super) fn asked_to_wait(answer: &Answer, now: Duration) -> Option<Duration> {
    /// Numbers above are moments, below them they are spans: nobody asks to wait for thirty years.
    const MOMENTS: u64 = 1_000_000_000;
    if !matches!(answer.status.as_u16(), 429 | 503) {
        return None;
    }
    let text = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<u64>().ok();
    let wait = match text(header::RETRY_AFTER.as_str()) {
        Some(after) => number(after).map(Duration::from_secs).or_else(|| {
            let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(after).ok()?;
            Some(Duration::from_secs(u64::try_from(moment.as_second()).ok()?).saturating_sub(now))
        }),
        None => ["x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset"].into_iter().find_map(text).and_then(
            // Some write fractions.
            |reset| match number(reset.split('.').next()?)? {
                moment if moment >= MOMENTS => Some(Duration::from_secs(moment).saturating_sub(now)),
                span => Some(Duration::from_secs(span)),
            },
        ),
    };
    wait.filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::config::Span;

    thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    fn clock() -> Duration {
        NOW.get()
    }

    fn after(duration: Duration) {
        NOW.set(NOW.get() + duration);
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn origin(change: impl FnOnce(&mut Settings)) -> Arc<Origin> {
        let mut settings = Settings::default();
        change(&mut settings);
        Manners::new(&settings).of("https://api.acme.example")
    }

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Result<Answer, FetchError> {
        let status = StatusCode::from_u16(status).expect("a status");
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header value")));
        Ok(Answer { status, headers: headers.collect::<HeaderMap>(), body: Bytes::new() })
    }

    fn enter(origin: &Arc<Origin>) -> Result<Pass, Spare> {
        origin.enter(clock, || None)
    }

    /// Whether a request was sent, and ended so.
    fn ask(origin: &Arc<Origin>, outcome: &Result<Answer, FetchError>) -> bool {
        enter(origin).map(|pass| pass.end(outcome)).is_ok()
    }

    #[test]
    fn an_upstream_that_is_down_is_probed_and_found_again_within_one_interval() {
        let origin = origin(|_| {});
        let down = || Err(FetchError::Connect("refused".into()));
        let sent = (0..1000).filter(|_| ask(&origin, &down())).count();
        assert_eq!(sent, 10, "then it is left alone");
        for _ in 0..12 {
            after(5 * SECOND);
            assert_eq!((0..100).filter(|_| ask(&origin, &down())).count(), 1, "one probe an interval");
        }
        after(4 * SECOND);
        assert!(!ask(&origin, &answer(200, &[])), "not before its time");
        after(SECOND);
        assert_eq!((0..100).filter(|_| ask(&origin, &answer(200, &[]))).count(), 100, "it is back");
    }

    #[test]
    fn while_a_probe_is_on_its_way_nobody_else_is_sent() {
        let origin = origin(|settings| settings.upstream.trip_after = 1);
        ask(&origin, &answer(503, &[]));
        after(5 * SECOND);
        let probe = enter(&origin).expect("it is time");
        assert_eq!(enter(&origin).expect_err("there is a probe"), Spare::Resting);
        drop(probe);
        let probe = enter(&origin).expect("that one went away without a word");
        probe.end(&answer(200, &[]));
        assert!(ask(&origin, &answer(200, &[])));
    }

    #[test]
    fn a_probe_that_hangs_holds_up_no_other() {
        let origin = origin(|settings| settings.upstream.trip_after = 2);
        (0..2).for_each(|_| _ = ask(&origin, &answer(503, &[])));
        after(5 * SECOND);
        let hung = enter(&origin).expect("it is time");
        after(5 * SECOND);
        let second = enter(&origin).expect("it is time again");
        assert_eq!(enter(&origin).expect_err("it was one an interval"), Spare::Resting);
        second.end(&answer(200, &[]));
        // It ends when all is well: one failure, and not in a row.
        drop(hung);
        assert!(ask(&origin, &answer(200, &[])), "it is back");
    }

    #[test]
    fn whoever_hangs_up_before_the_deadline_has_waited_too() {
        let origin = origin(|settings| settings.deadline = Span(60 * SECOND));
        for _ in 0..10 {
            let pass = enter(&origin).expect("not yet");
            after(Duration::from_millis(4500));
            drop(pass);
        }
        assert_eq!(enter(&origin).expect_err("ten receivers hung up"), Spare::Resting);
    }

    #[test]
    fn an_upstream_that_answers_is_no_failure_whatever_it_answers() {
        let origin = origin(|_| {});
        for status in [200, 301, 400, 401, 403, 404, 429, 500] {
            assert_eq!((0..100).filter(|_| ask(&origin, &answer(status, &[]))).count(), 100, "{status}");
        }
        for error in [FetchError::TooLarge(1), FetchError::Refused("alert".into())] {
            assert_eq!((0..100).filter(|_| ask(&origin, &Err(error.clone()))).count(), 100, "{error:?}");
        }
        for _ in 0..100 {
            (0..9).for_each(|_| assert!(ask(&origin, &answer(502, &[]))));
            assert!(ask(&origin, &answer(200, &[])), "one that comes through ends the row");
        }
    }

    #[test]
    fn whoever_goes_away_says_nothing_of_the_upstream_unless_he_waited() {
        let origin = origin(|_| {});
        for _ in 0..100 {
            drop(enter(&origin).expect("it is not the upstream's fault"));
            let pass = enter(&origin).expect("nor is a limit that is too short");
            after(Duration::from_millis(1));
            pass.end(&Err(FetchError::Timeout));
        }
        for _ in 0..10 {
            let pass = enter(&origin).expect("not yet");
            after(5 * SECOND);
            drop(pass);
        }
        assert_eq!(enter(&origin).expect_err("half the deadline was lost ten times"), Spare::Resting);
    }

    #[test]
    fn only_so_many_are_on_their_way_at_once() {
        let origin = origin(|settings| settings.upstream.max_per_origin = 3);
        let passes: Vec<_> = (0..3).map(|_| enter(&origin).expect("there is room")).collect();
        assert_eq!(enter(&origin).expect_err("there is none"), Spare::Busy);
        drop(passes);
        assert!(ask(&origin, &answer(200, &[])));
        assert_eq!(origin.state().busy, 0);
    }

    #[test]
    fn a_tenth_of_the_requests_may_be_repeated() {
        let origin = origin(|settings| settings.upstream.trip_after = 0);
        let mut sent = 0_u32;
        for _ in 0..10_000 {
            sent += 1;
            ask(&origin, &answer(503, &[]));
            for _ in 0..3 {
                if origin.may_repeat() {
                    sent += 1;
                    ask(&origin, &answer(503, &[]));
                }
            }
        }
        assert!((10_900..=11_010).contains(&sent), "{sent} for 10000");
        (0..1000).for_each(|_| _ = ask(&origin, &answer(200, &[])));
        assert_eq!((0..100).filter(|_| origin.may_repeat()).count(), 10, "they cannot be saved up");
    }

    #[test]
    fn one_caller_is_held_back_as_long_as_the_upstream_asks_and_no_longer_than_we_allow() {
        let origin = origin(|_| {});
        let who = |name: &str| Some(Key::new("who", &[name]));
        let ask = |name: &str| origin.enter(clock, || who(name)).map(drop);
        origin.hold(Key::new("who", &["ada"]), 7 * SECOND, clock());
        origin.hold(Key::new("who", &["bob"]), 3600 * SECOND, clock());
        assert_eq!(ask("cleo"), Ok(()));
        assert_eq!(ask("ada"), Err(Spare::Limited(7)));
        assert_eq!(ask("bob"), Err(Spare::Limited(60)));
        after(Duration::from_millis(6500));
        assert_eq!(ask("ada"), Err(Spare::Limited(1)));
        after(Duration::from_millis(500));
        assert_eq!(ask("ada"), Ok(()));
        after(53 * SECOND);
        assert_eq!(ask("bob"), Ok(()));
        assert!(origin.state().held.is_empty());
        for number in 0..MAX_HELD + 10 {
            origin.hold(Key::new("who", &[&number.to_string()]), SECOND, clock());
        }
        assert_eq!(origin.state().held.len(), MAX_HELD);
    }

    #[test]
    fn what_an_upstream_says_of_its_limits_is_read_in_all_forms() {
        let now = Duration::from_secs(1_767_225_600);
        let wait = |status: u16, name: &'static str, value: &str| {
            let answer = answer(status, &[(name, value)]).expect("there is one");
            asked_to_wait(&answer, now).map(|wait| wait.as_secs())
        };
        for (status, name, value, expected) in [
            (429, "retry-after", "7", Some(7)),
            (503, "retry-after", "7", Some(7)),
            (429, "retry-after", "Thu, 01 Jan 2026 00:00:30 GMT", Some(30)),
            (429, "retry-after", "Wed, 31 Dec 2025 00:00:30 GMT", None),
            (429, "retry-after", "soon", None),
            (429, "retry-after", "0", None),
            (429, "x-ratelimit-reset", "1767225660", Some(60)),
            (429, "x-ratelimit-reset", "1767225660.5", Some(60)),
            (429, "x-ratelimit-reset", "1767225000", None),
            (429, "x-ratelimit-reset", "30", Some(30)),
            (429, "ratelimit-reset", "30", Some(30)),
            (503, "x-rate-limit-reset", "30", Some(30)),
            (429, "x-ratelimit-reset", "-5", None),
            (429, "x-other", "30", None),
            (200, "x-ratelimit-reset", "30", None),
            (403, "retry-after", "30", None),
            (500, "retry-after", "30", None),
        ] {
            assert_eq!(wait(status, name, value), expected, "{status} {name}: {value}");
        }
    }

    #[test]
    fn no_more_origins_are_told_apart_than_there_may_be() {
        let manners = Manners::new(&Settings { deadline: Span(SECOND), ..Settings::default() });
        for number in 0..MAX_ORIGINS + 10 {
            manners.of(&format!("https://{number}.acme.example"));
        }
        assert_eq!(manners.origins.read().expect("nobody else has it").len(), MAX_ORIGINS);
        let first = "https://0.acme.example";
        assert!(Arc::ptr_eq(&manners.of(first), &manners.of(first)));
    }
}
