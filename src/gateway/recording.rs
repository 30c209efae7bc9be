//! One login becomes a case when an admin asks for it.
//!
//! A recording is *armed* for a rule. Requests of that rule are then noted while they are answered, a few at a time,
//! and the first that fits is written as a case, by the core and as `claimsmith try --record` does it. What was noted
//! of the others goes with them. Everything is kept in memory alone, and has an end: of time, of bytes, of number.
//!
//! A process for which nothing is armed looks at one number for each request.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Shared, Upstream, WORKER_STACK, bytes_beside, clock, serving::Set, source};
use crate::core::{
    CompiledRule, Failure, Outcome, Request, ingredients,
    record::{Login, Recorded, has_token, write},
};

/// How long a recording is armed, and how long its case is kept, at most.
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// Recordings at once, each of another rule.
const MAX_RECORDINGS: usize = 8;
/// Requests of one recording that are noted at once; others are answered as ever.
const MAX_NOTED: usize = 4;
/// Requests of one recording that are noted at all.
const MAX_LOOKED_AT: u64 = 10_000;

/// Which request is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Only one that fails.
    pub(super) failures: bool,
    /// Only one that is answered so.
    pub(super) status: Option<u16>,
    /// Only the one with this id.
    pub(super) request: Option<String>,
}

/// All recordings.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    /// Those that wait for a request.
    armed: AtomicUsize,
    list: Mutex<Vec<Recording>>,
}

/// The recording of a rule.
#[derive(Debug)]
struct Recording {
    rule: String,
    wanted: Wanted,
    /// It is gone then, by the clock.
    until: Duration,
    /// The same since 1970, for people.
    until_shown: Duration,
    looked_at: u64,
    at_work: usize,
    state: State,
}

/// How far a recording has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for a request that fits.
    Armed,
    /// The case is being written.
    Writing,
    /// There is a case: its text.
    Written(String),
    /// There can be none of that request: why.
    Failed(String),
}

/// Why no recording was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// One of this rule is.
    Already,
    /// There are as many as there may be.
    TooMany,
}

/// A request that is noted while it is answered.
pub(super) struct Noted<'s> {
    recordings: &'s Recordings,
    rule: &'s str,
    request_id: &'s str,
}

impl Recordings {
    fn list(&self) -> MutexGuard<'_, Vec<Recording>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the list, and counts anew.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Recording>) -> T) -> T {
        let mut list = self.list();
        let result = change(&mut list);
        let armed = list.iter().filter(|recording| recording.state == State::Armed).count();
        self.armed.store(armed, Ordering::Relaxed);
        result
    }

    /// How many wait for a request.
    pub(super) fn armed(&self) -> usize {
        self.armed.load(Ordering::Relaxed)
    }

    /// Arms a recording. One of the rule that is done makes room for it.
    ///
    /// # Errors
    /// When one is armed for this rule, or too many are for others.
    pub(super) fn arm(&self, rule: &str, wanted: Wanted, time: Duration) -> Result<(), Refused> {
        let time = time.min(LONGEST);
        self.sweep();
        self.change(|list| {
            let at_work = |recording: &Recording| matches!(recording.state, State::Armed | State::Writing);
            if list.iter().any(|recording| recording.rule == rule && at_work(recording)) {
                return Err(Refused::Already);
            }
            list.retain(|recording| recording.rule != rule);
            if list.len() >= MAX_RECORDINGS {
                return Err(Refused::TooMany);
            }
            list.push(Recording {
                rule: rule.to_owned(),
                wanted,
                until: clock() + time,
                until_shown: <Upstream as crate::core::Host>::now() + time,
                looked_at: 0,
                at_work: 0,
                state: State::Armed,
            });
            Ok(())
        })
    }

    /// Forgets the recording of a rule, whatever came of it. False if there was none.
    pub(super) fn disarm(&self, rule: &str) -> bool {
        self.sweep();
        self.change(|list| {
            let before = list.len();
            list.retain(|recording| recording.rule != rule);
            list.len() < before
        })
    }

    /// How far the recording of a rule has come.
    pub(super) fn state(&self, rule: &str) -> Option<State> {
        self.sweep();
        self.list().iter().find(|recording| recording.rule == rule).map(|recording| recording.state.clone())
    }

    /// All recordings, for people and programs; of one rule, if one is named.
    pub(super) fn told(&self, rule: Option<&str>) -> Value {
        self.sweep();
        let list = self.list();
        let asked = list.iter().filter(|recording| rule.is_none_or(|rule| rule == recording.rule));
        asked.map(Recording::told).collect()
    }

    /// Lets those go whose time is over.
    pub(super) fn sweep(&self) {
        let now = clock();
        self.change(|list| list.retain(|recording| recording.until > now));
    }

    /// Whether a request is to be noted. Nothing happens here unless something is armed.
    pub(super) fn take<'s>(&'s self, rule: Option<&'s CompiledRule>, request_id: &'s str) -> Option<Noted<'s>> {
        if self.armed.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let rule = rule?.name();
        self.sweep();
        let mut list = self.list();
        let recording = list.iter_mut().find(|recording| recording.rule == rule)?;
        recording.takes(request_id).then(|| Noted { recordings: self, rule, request_id })
    }
}

impl Recording {
    /// Whether one more request is noted.
    fn takes(&mut self, request_id: &str) -> bool {
        let takes = self.state == State::Armed
            && self.at_work < MAX_NOTED
            && self.looked_at < MAX_LOOKED_AT
            && self.wanted.request.as_ref().is_none_or(|wanted| wanted == request_id);
        if takes {
            self.at_work += 1;
            self.looked_at += 1;
        }
        takes
    }

    fn told(&self) -> Value {
        let (state, why) = match &self.state {
            State::Armed => ("armed", None),
            State::Writing => ("writing", None),
            State::Written(_) => ("written", None),
            State::Failed(why) => ("failed", Some(why)),
        };
        json!({
            "rule": self.rule,
            "state": state,
            "why": why,
            "until": super::admin::time(self.until_shown),
            "looked_at": self.looked_at,
            "wanted": {
                "status": self.wanted.status,
                "failures": self.wanted.failures,
                "request": self.wanted.request,
            },
        })
    }
}

impl Wanted {
    /// Whether a request that came out so is the one. What never came to an evaluation is none.
    fn fits(&self, request: &Request, request_id: &str, outcome: &Outcome) -> bool {
        let evaluated = match &outcome.failure {
            None => request.method() != http::Method::OPTIONS,
            Some(failure) => matches!(
                failure,
                Failure::Unverified(_)
                    | Failure::Call(_)
                    | Failure::Require(_)
                    | Failure::Claims(_)
                    | Failure::Script(_)
                    | Failure::Receiver(_)
                    | Failure::Deadline
            ),
        };
        evaluated
            && self.request.as_ref().is_none_or(|wanted| wanted == request_id)
            && has_token(request)
            && self.status.is_none_or(|status| outcome.response.status().as_u16() == status)
            && (!self.failures || outcome.failure.is_some())
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if let Some(recording) = self.recordings.list().iter_mut().find(|recording| recording.rule == self.rule) {
            recording.at_work = recording.at_work.saturating_sub(1);
        }
    }
}

impl Noted<'_> {
    /// The request was answered. If it fits, the case is written by a thread of its own: that takes longer than a
    /// worker may be kept from others.
    pub(super) fn end(
        self,
        rule: &Arc<CompiledRule>,
        set: &Set,
        request: &Request,
        outcome: &Outcome,
        recorded: Recorded,
        shared: &Arc<Shared>,
    ) {
        let taken = self.recordings.change(|list| {
            let recording = list.iter_mut().find(|recording| recording.rule == self.rule);
            let fits = |recording: &&mut Recording| {
                recording.state == State::Armed && recording.wanted.fits(request, self.request_id, outcome)
            };
            recording.filter(fits).map(|recording| recording.state = State::Writing).is_some()
        });
        if !taken {
            return;
        }
        let job = Job {
            rule: rule.clone(),
            vars: set.settings.rule.get(self.rule).map(|rule| rule.vars.clone()).unwrap_or_default(),
            folder: set.settings.rules.clone(),
            request: request.clone(),
            outcome: outcome.clone(),
            now: <Upstream as crate::core::Host>::now(),
        };
        let shared = shared.clone();
        let thread = thread::Builder::new().name("record".into()).stack_size(WORKER_STACK).spawn(move || {
            let ending = Ending { shared: &shared, rule: job.rule.name(), state: None };
            ending.with(job.run(recorded));
        });
        if thread.is_err() {
            self.recordings.ended(self.rule, State::Failed("no thread could be started".into()));
        }
    }
}

impl Recordings {
    /// The case is written, or cannot be. It is kept for as long as it may be.
    fn ended(&self, rule: &str, state: State) {
        self.change(|list| {
            let recording = list.iter_mut().find(|recording| recording.rule == rule);
            if let Some(recording) = recording.filter(|recording| recording.state == State::Writing) {
                recording.state = state;
                recording.until = clock() + LONGEST;
                recording.until_shown = <Upstream as crate::core::Host>::now() + LONGEST;
            }
        });
    }
}

/// Tells how it ended, also if a fault of the program did.
struct Ending<'a> {
    shared: &'a Shared,
    rule: &'a str,
    state: Option<State>,
}

impl Ending<'_> {
    fn with(mut self, state: State) {
        self.state = Some(state);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let state = self.state.take().unwrap_or_else(|| State::Failed("a fault of the program".into()));
        self.shared.recordings.ended(self.rule, state);
    }
}

/// What it takes to write the case.
struct Job {
    rule: Arc<CompiledRule>,
    vars: serde_json::Map<String, Value>,
    folder: std::path::PathBuf,
    request: Request,
    outcome: Outcome,
    now: Duration,
}

impl Job {
    fn run(&self, recorded: Recorded) -> State {
        let rule = (self.rule.name(), self.rule.source());
        let files = |name: &str| bytes_beside(&self.folder, name);
        let script = ingredients(rule.1).script.and_then(|name| String::from_utf8(files(&name).ok()?).ok());
        let existing = existing(&self.folder.join(format!("{}.test.toml", rule.0)));
        let login = Login {
            rule,
            vars: &self.vars,
            request: &self.request,
            outcome: &self.outcome,
            now: self.now,
            files: &files,
        };
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
            return State::Failed("nothing can be run".into());
        };
        match runtime.block_on(write(recorded.of_rule(&self.rule, script), &login, &existing)) {
            Ok(written) => {
                tracing::info!(rule = rule.0, "a login is recorded as a case");
                State::Written(written.text)
            }
            Err(fault) => {
                tracing::warn!(rule = rule.0, "a login was not recorded: {fault}");
                State::Failed(fault.to_string())
            }
        }
    }
}

/// The cases that the rule has, so that the new one gets a name of its own.
fn existing(file: &Path) -> String {
    source(file).map(|source| source.text.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(recordings: &Recordings) -> usize {
        recordings.armed.load(Ordering::Relaxed)
    }

    #[test]
    fn there_is_one_recording_a_rule_and_a_few_in_all() {
        let recordings = Recordings::default();
        let arm = |rule: &str| recordings.arm(rule, Wanted::default(), LONGEST);
        assert_eq!((arm("acme"), arm("acme")), (Ok(()), Err(Refused::Already)));
        for number in 1..MAX_RECORDINGS {
            assert_eq!(arm(&format!("rule-{number}")), Ok(()));
        }
        assert_eq!(arm("more"), Err(Refused::TooMany));
        assert_eq!(armed(&recordings), MAX_RECORDINGS);
        assert!(recordings.disarm("acme") && !recordings.disarm("acme"));
        assert_eq!((arm("more"), armed(&recordings)), (Ok(()), MAX_RECORDINGS));
    }

    #[test]
    fn a_recording_ends_with_its_time() {
        let recordings = Recordings::default();
        assert_eq!(recordings.arm("acme", Wanted::default(), Duration::ZERO), Ok(()));
        assert_eq!((recordings.state("acme"), armed(&recordings)), (None, 0));
        // Nobody gets more than there is.
        assert_eq!(recordings.arm("acme", Wanted::default(), Duration::from_secs(u64::MAX / 4)), Ok(()));
        assert!(recordings.list()[0].until <= clock() + LONGEST);
    }

    #[test]
    fn few_are_noted_at_once_and_not_for_ever() {
        let recordings = Recordings::default();
        let wanted = Wanted { request: Some("this".into()), ..Wanted::default() };
        assert_eq!(recordings.arm("acme", wanted, LONGEST), Ok(()));
        let mut list = recordings.list();
        assert!(!list[0].takes("another"));
        assert_eq!((0..100).filter(|_| list[0].takes("this")).count(), MAX_NOTED);
        list[0].at_work = 0;
        list[0].looked_at = MAX_LOOKED_AT;
        assert!(!list[0].takes("this"));
    }
}
