//! What a trace is told of the calls. Where nobody looks on, nothing of this is made.

use std::time::Duration;

use http::StatusCode;

use super::{Round, plan::Call};
use crate::core::{
    host::Host,
    message::{Answer, FetchError},
    trace::{self, Attempt, Outcome, Step},
};

/// What there is to tell of one request.
#[derive(Default)]
pub(super) struct Told {
    /// The request as people may see it: credentials are replaced by their names.
    request: Vec<String>,
    time: Option<trace::Span>,
    decoded: Option<trace::Span>,
    attempts: Vec<Attempt>,
    began: Option<Duration>,
    number: usize,
}

impl Told {
    /// A request as people may see it.
    pub(super) fn new(request: Vec<String>) -> Self {
        Told { request, ..Told::default() }
    }

    /// The request is on its way.
    pub(super) fn depart<H: Host>(&mut self, call: &Call, entry: usize, round: &Round<'_, H>) {
        let Some(trace) = round.trace else { return };
        let began = since::<H>(round);
        self.began = Some(began);
        let which = call.each.as_ref().map(|_| format!("value {}", entry + 1)).unwrap_or_default();
        let time = Some((began, began));
        let on_its_way = Told { request: self.request.clone(), time, ..Told::default() };
        self.number = trace.depart(on_its_way.call(call, which, None, Outcome::Unanswered));
    }

    /// The number of the request in the trace; 0 where nobody looks on.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The answer was read, from then on.
    pub(super) fn read<H: Host>(&mut self, began: Option<Duration>, round: &Round<'_, H>) {
        self.decoded = began.map(|began| (began, since::<H>(round)));
    }

    /// The answer is there, or there will be none.
    pub(super) fn arrive<H: Host>(&mut self, round: &Round<'_, H>) {
        let Some(trace) = round.trace else { return };
        trace.arrive(self.number);
        self.time = self.began.map(|began| (began, since::<H>(round)));
    }

    /// The clock before an exchange, if somebody looks on.
    pub(super) fn clock<H: Host>(round: &Round<'_, H>) -> Option<Duration> {
        round.trace.map(|_| since::<H>(round))
    }

    /// An exchange that began then is over.
    pub(super) fn exchanged<H: Host>(
        &mut self,
        what: &'static str,
        began: Option<Duration>,
        outcome: &Result<Answer, FetchError>,
        round: &Round<'_, H>,
    ) {
        let words = || match outcome {
            Ok(answer) => answer.status.as_u16().to_string(),
            Err(error) => error.words(),
        };
        self.did(what, began, words, round);
    }

    /// Something that began then is over.
    pub(super) fn did<H: Host>(
        &mut self,
        what: &'static str,
        began: Option<Duration>,
        words: impl FnOnce() -> String,
        round: &Round<'_, H>,
    ) {
        let Some(began) = began else { return };
        self.attempts.push(Attempt { what, words: words(), time: (began, since::<H>(round)) });
    }

    /// The step of this request.
    pub(super) fn step(
        self,
        call: &Call,
        which: String,
        answer: Option<(StatusCode, usize)>,
        outcome: Outcome,
    ) -> Step {
        Step::Call(self.call(call, which, answer, outcome))
    }

    fn call(self, call: &Call, which: String, answer: Option<(StatusCode, usize)>, outcome: Outcome) -> trace::Call {
        trace::Call {
            name: call.name.clone(),
            place: call.place.clone(),
            which,
            number: self.number,
            after: call.after.clone(),
            request: self.request,
            outcome,
            answer: answer.map(|(status, bytes)| (status.as_u16(), bytes)),
            time: self.time,
            decoded: self.decoded,
            attempts: self.attempts,
        }
    }
}

fn since<H: Host>(round: &Round<'_, H>) -> Duration {
    H::clock().saturating_sub(round.began)
}
