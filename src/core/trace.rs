//! What happened during one evaluation, for people who write rules.
//!
//! A trace has a step for everything that decided the answer, in the order in which it happened, each under one of
//! the fixed names of [`Stage`]. What stands in the rule is named with its place, so that a reader can go there and
//! a tool can tell what was never reached.
//!
//! A trace holds no token and no secret; it does hold claims, so it is made only where the author of the rule looks on,
//! never for a log. A *discreet* one is for those who run the gateway: `discreet` says what is left.

mod claim;
mod discreet;
mod hidden;
mod json;
mod point;
mod timeline;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

pub use self::{
    claim::{Claim, Provenance, Way, type_of},
    hidden::{Hidden, forms},
    point::{Point, PointKind, Reached},
    timeline::{Destination, Exchange, Timed, Timeline},
};
use serde_json::Value;

use super::problem::Place;

/// When something began and ended, since the evaluation began.
pub type Span = (Duration, Duration);

/// A part of an evaluation, by the name that people see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The caller's request, and the token in it.
    Receive,
    /// A call on its way.
    Call(String),
    /// The answer of a call, being read.
    Decode(String),
    /// The guards.
    Require,
    /// The claims, being made.
    Map,
    /// The last word.
    Script,
    /// What the receiver insists on.
    Contract,
    /// The answer.
    Respond,
}

impl Stage {
    /// The name alone.
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Receive => "receive",
            Stage::Call(_) => "call",
            Stage::Decode(_) => "decode",
            Stage::Require => "require",
            Stage::Map => "map",
            Stage::Script => "script",
            Stage::Contract => "contract",
            Stage::Respond => "respond",
        }
    }

    /// The call that it is about.
    pub fn call(&self) -> Option<&str> {
        match self {
            Stage::Call(name) | Stage::Decode(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call() {
            Some(call) => f.pad(&format!("{} {call}", self.name())),
            None => f.pad(self.name()),
        }
    }
}

/// One step of an evaluation.
#[derive(Clone, Debug)]
pub enum Step {
    /// The caller's request was taken in.
    Receive {
        /// Where the token was, and whether it was verified.
        words: String,
        /// How long it took.
        time: Option<Span>,
    },
    /// A request of a call came to its end, or the call was skipped.
    Call(Call),
    /// An answer was read.
    Decode {
        /// The call.
        call: String,
        /// As what.
        words: String,
    },
    /// A condition of the rule was asked.
    Condition(Condition),
    /// A claim got its value, or none. What is said later of the same claim holds.
    Claim(Claim),
    /// The script ran to its end.
    Script {
        /// What it changed, in words.
        words: String,
    },
    /// What the rule's receiver would make of a claim.
    Judgement {
        /// The name of the receiver.
        receiver: &'static str,
        /// The claim.
        claim: String,
        /// `ok`, `warn` or `fail`.
        standing: String,
        /// What the receiver does with it.
        words: String,
    },
    /// The answer is there.
    Respond {
        /// Its status.
        status: u16,
        /// Bytes of its body.
        bytes: usize,
    },
    /// The evaluation ended here.
    Failed {
        /// Where.
        stage: Stage,
        /// Why, as in the log.
        words: String,
    },
    /// Something else that people should know.
    Note {
        /// What it belongs to.
        stage: Stage,
        /// What happened.
        words: String,
    },
}

impl Step {
    /// What it is a step of.
    pub fn stage(&self) -> Stage {
        match self {
            Step::Receive { .. } => Stage::Receive,
            Step::Call(call) => Stage::Call(call.name.clone()),
            Step::Decode { call, .. } => Stage::Decode(call.clone()),
            Step::Condition(condition) => condition.stage(),
            Step::Claim(claim) => claim.stage(),
            Step::Script { .. } => Stage::Script,
            Step::Judgement { .. } => Stage::Contract,
            Step::Respond { .. } => Stage::Respond,
            Step::Failed { stage, .. } | Step::Note { stage, .. } => stage.clone(),
        }
    }
}

/// One request of a call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The call's name.
    pub name: String,
    /// Where the rule has the call.
    pub place: Place,
    /// Which of its requests this is, such as `value 2, page 3`; empty if there is only one.
    pub which: String,
    /// The number of the request among those of the evaluation; 0 if nothing was to be sent.
    pub number: usize,
    /// The calls whose answers it reads: it cannot start before they are there.
    pub after: Vec<String>,
    /// The request line and headers, credentials replaced by their names; empty if there was none.
    pub request: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Status and length of the answer, if there was one.
    pub answer: Option<(u16, usize)>,
    /// When it started and ended.
    pub time: Option<Span>,
    /// When its answer was being read.
    pub decoded: Option<Span>,
    /// What was sent for it, one after another: attempts, redirects, a token of our own.
    pub attempts: Vec<Attempt>,
}

/// What came of a request of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is an answer, and it is fine.
    Answered,
    /// It was not sent: `when` did not hold.
    Skipped,
    /// It failed, and the answer goes on without it: why.
    GivenUp(String),
    /// It failed, and with it the request: why.
    Failed(String),
    /// There was no answer yet when the evaluation ended.
    Unanswered,
}

/// One exchange with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What for.
    pub what: &'static str,
    /// What came of it.
    pub words: String,
    /// When.
    pub time: Span,
}

impl Call {
    /// What came of it, in words: `200, 1048 bytes`, `skipped: …`.
    pub fn words(&self) -> String {
        match (&self.outcome, self.answer) {
            (Outcome::Answered, Some((status, bytes))) => format!("{status}, {bytes} bytes"),
            (Outcome::Answered, None) => "answered".into(),
            (Outcome::Skipped, _) => "skipped: `when` does not hold".into(),
            (Outcome::GivenUp(why), _) => format!("given up: {why}"),
            (Outcome::Failed(why), _) => format!("failed: {why}"),
            (Outcome::Unanswered, _) => "no answer yet".into(),
        }
    }
}

/// What a condition decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asking {
    /// Whether a call is sent.
    When,
    /// Whether a fine answer holds an error.
    FailWhen,
    /// Whether a page is the last.
    Until,
    /// Whether the request may go on.
    Require,
}

impl Asking {
    /// The key of the rule.
    pub fn key(self) -> &'static str {
        match self {
            Asking::When => "when",
            Asking::FailWhen => "fail_when",
            Asking::Until => "until",
            Asking::Require => "require",
        }
    }
}

/// A condition that was asked.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What it decides.
    pub asking: Asking,
    /// The call that it stands in.
    pub call: Option<String>,
    /// The expression as written.
    pub text: String,
    /// Where it stands: the whole literal.
    pub place: Place,
    /// Whether it holds.
    pub holds: bool,
}

impl Condition {
    fn stage(&self) -> Stage {
        match &self.call {
            Some(call) => Stage::Call(call.clone()),
            None => Stage::Require,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        let verdict = if self.holds { "holds" } else { "does not hold" };
        format!("{} `{}` {verdict}", self.asking.key(), self.text)
    }
}

impl Inner {
    fn leave(&mut self, now: Duration) {
        self.stages.extend(self.at.take().map(|(stage, began)| (stage, (began, now))));
    }
}

/// Collects the steps of one evaluation.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    steps: Vec<Step>,
    /// Requests without an answer yet, each with its number.
    open: Vec<(usize, Call)>,
    opened: usize,
    hidden: Hidden,
    /// Nothing may be put together from values.
    discreet: bool,
    /// Statements of the script that ran, where somebody wants to know.
    ran: Vec<Place>,
    /// What the rule could read, where somebody wants to see it.
    document: Option<Value>,
    /// How many calls have their times noted, if nothing else is wanted.
    times: Option<usize>,
    calls: Vec<Timed>,
    /// When the evaluation began, by the host's clock.
    began: Option<Duration>,
    /// The steps that are done, besides the calls, with their times.
    stages: Vec<(Stage, Span)>,
    /// The step that the evaluation is at, and since when.
    at: Option<(Stage, Duration)>,
}

impl Trace {
    /// One that keeps the document too, once the calls are done.
    pub fn showing() -> Self {
        let trace = Trace::default();
        trace.with(|inner| inner.document = Some(Value::Null));
        trace
    }

    /// Notes what the rule can read, if somebody wants to see it.
    pub fn show(&self, document: impl FnOnce() -> Value) {
        if self.with(|inner| inner.document.is_some()) {
            let document = document();
            self.with(|inner| inner.document = Some(document));
        }
    }

    /// The document, without what nobody may see; null if there is none.
    pub fn document(&self) -> Value {
        self.with(|inner| {
            let mut document = inner.document.clone().unwrap_or_default();
            inner.hidden.value(&mut document);
            document
        })
    }

    /// One whose steps are told to those who may see no value of a user.
    pub fn discreet() -> Self {
        Trace(Mutex::new(Inner { discreet: true, ..Inner::default() }))
    }

    /// True if nothing may be put together from values.
    pub fn is_discreet(&self) -> bool {
        self.with(|inner| inner.discreet)
    }

    /// True if others than those who may see all of an answer are told of it.
    pub fn is_for_all(&self) -> bool {
        self.with(|inner| inner.discreet || inner.times.is_some())
    }

    /// One for [`Trace::timeline`] alone, with so many calls at most. It has no steps, and so no claims.
    pub fn of_times(calls: usize) -> Self {
        Trace(Mutex::new(Inner { times: Some(calls), ..Inner::default() }))
    }

    /// Notes a step.
    pub fn add(&self, step: Step) {
        self.with(|inner| match (inner.times, step) {
            (None, step) => inner.steps.push(step),
            (Some(room), Step::Call(call)) => match Timed::new(&call) {
                Some(timed) if inner.calls.len() < room => inner.calls.push(timed),
                Some(_) | None => {}
            },
            (Some(_), _) => {}
        });
    }

    /// The evaluation begins, by the host's clock.
    pub fn begin(&self, now: Duration) {
        self.with(|inner| inner.began = Some(now));
    }

    /// The evaluation comes to a step, so long after it began; the one before is done.
    pub fn enter(&self, stage: Stage, now: Duration) {
        self.with(|inner| {
            inner.leave(now);
            inner.at = Some((stage, now));
        });
    }

    /// The step that the evaluation was at is done.
    pub fn leave(&self, now: Duration) {
        self.with(|inner| inner.leave(now));
    }

    /// Notes something that people should know.
    pub fn note(&self, stage: Stage, words: impl Into<String>) {
        self.add(Step::Note { stage, words: words.into() });
    }

    /// Notes that a request is on its way; gives the number to [`Trace::arrive`] with.
    pub fn depart(&self, call: Call) -> usize {
        self.with(|inner| {
            inner.opened += 1;
            inner.open.push((inner.opened, call));
            inner.opened
        })
    }

    /// The request with this number has its answer.
    pub fn arrive(&self, number: usize) {
        self.with(|inner| inner.open.retain(|(open, _)| *open != number));
    }

    /// A text without what no step may show.
    pub fn cleaned(&self, text: &str) -> String {
        self.with(|inner| inner.hidden.cleaned(text)).unwrap_or_else(|| text.to_owned())
    }

    /// A value that no step may show, whoever repeats it: the token, a secret.
    pub fn hide(&self, name: &str, value: &str) {
        self.with(|inner| {
            if inner.times.is_none() {
                inner.hidden.add(name, value);
            }
        });
    }

    /// Statements of the script ran.
    pub fn ran(&self, places: Vec<Place>) {
        self.with(|inner| inner.ran.extend(places));
    }

    /// What the evaluation came past.
    pub fn reached(&self) -> Reached {
        let mut reached = Reached::default();
        self.with(|inner| {
            reached.steps(&inner.steps);
            inner.ran.iter().for_each(|place| reached.statement(place));
        });
        reached
    }

    /// All steps so far; requests without an answer come last.
    pub fn steps(&self) -> Vec<Step> {
        self.with(|inner| {
            let open = inner.open.iter().map(|(_, call)| Step::Call(call.clone()));
            let mut steps: Vec<_> = inner.steps.iter().cloned().chain(open).collect();
            steps.iter_mut().for_each(|step| inner.hidden.clean(step));
            steps
        })
    }

    /// When everything began and ended, and nothing else of it. What is not done ends now, by the host's clock.
    pub fn timeline(&self, now: Duration) -> Timeline {
        self.with(|inner| {
            let began = inner.began;
            let now = now.saturating_sub(began.unwrap_or(now));
            inner.leave(now);
            let open = inner.open.iter().filter_map(|(number, call)| Timed::open(*number, call, now));
            let of_steps = inner.steps.iter().filter_map(|step| match step {
                Step::Call(call) => Timed::new(call),
                _ => None,
            });
            let calls = inner.calls.iter().cloned().chain(of_steps).chain(open).collect();
            Timeline { began, stages: inner.stages.clone(), calls, sent: inner.opened }
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
