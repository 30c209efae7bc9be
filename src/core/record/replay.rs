//! A host that gives the answers of a login once more, changed, in the order in which they came.
//!
//! A request is not known by its address, which is another now, but by its turn: the evaluation is deterministic, so
//! if everything ends in the same order, everything begins in the same order.

use std::{
    cell::{Cell, RefCell},
    task::{Poll, Waker},
    time::Duration,
};

use url::Url;

use super::{
    recorder::{Event, Exchange, Recorded},
    redact::{Answered, Credentials},
};
use crate::core::{
    case::{Files, Kept, once_more, set_time, time},
    host::{Host, SecretSource},
    identity::{Half, Identity},
    message::{Answer, FetchError, Outgoing, Secret},
    store::{Entry, Key},
};

pub(super) struct Replay<'a> {
    recorded: &'a Recorded,
    credentials: &'a Credentials,
    answers: Vec<Answered>,
    files: Files<'a>,
    kept: Kept,
    /// The requests so far, each with the number of its exchange.
    sent: RefCell<Vec<Outgoing>>,
    pauses: Cell<usize>,
    repeats: Cell<usize>,
    /// How many of the ends were reached.
    ended: Cell<usize>,
    /// Who waits for which end.
    waiting: RefCell<Vec<(usize, Waker)>>,
    fault: RefCell<Option<String>>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        recorded: &'a Recorded,
        credentials: &'a Credentials,
        answers: Vec<Answered>,
        files: Files<'a>,
    ) -> Self {
        set_time(None);
        Replay {
            recorded,
            credentials,
            answers,
            files,
            kept: Kept::default(),
            sent: RefCell::default(),
            pauses: Cell::default(),
            repeats: Cell::default(),
            ended: Cell::default(),
            waiting: RefCell::default(),
            fault: RefCell::default(),
        }
    }

    /// The new exchanges, in the order in which they began.
    ///
    /// # Errors
    /// Why they are not those of the login.
    pub(super) fn into_exchanges(self) -> Result<Vec<Exchange>, String> {
        if let Some(fault) = self.fault.into_inner() {
            return Err(fault);
        }
        let sent = self.sent.into_inner();
        let (found, expected) = (sent.len(), self.recorded.exchanges.len());
        if found != expected {
            return Err(format!("it makes {found} requests instead of {expected}"));
        }
        let exchange = |(request, answer): (Outgoing, Answered)| Exchange { request, reply: Some(answer.reply) };
        Ok(sent.into_iter().zip(self.answers).map(exchange).collect())
    }

    /// Waits until it is the turn of this end. False if it never comes.
    async fn turn(&self, end: Event) -> bool {
        let Some(turn) = self.recorded.ends.iter().position(|other| *other == end) else {
            // It had not ended when the login was over, so it ends after all that did.
            return self.wait(self.recorded.ends.len()).await;
        };
        let came = self.wait(turn).await;
        self.ended.set(turn + 1);
        let mut waiting = self.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(|(other, _)| *other == turn + 1) {
            waiting.swap_remove(at).1.wake();
        }
        came
    }

    async fn wait(&self, turn: usize) -> bool {
        std::future::poll_fn(|context| {
            if self.ended.get() >= turn {
                return Poll::Ready(true);
            }
            let mut waiting = self.waiting.borrow_mut();
            waiting.retain(|(other, _)| *other != turn);
            waiting.push((turn, context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// Polls of an evaluation in which nothing happens before it is given up: calls that wait for a token of our own are
/// polled again and again.
const PATIENCE: usize = 1000;

/// Runs an evaluation on a replay; `None` if it waits for something that never comes.
pub(super) async fn to_its_end<T>(evaluation: impl Future<Output = T>, replay: &Replay<'_>) -> Option<T> {
    let mut evaluation = std::pin::pin!(evaluation);
    let state = || (replay.sent.borrow().len(), replay.pauses.get(), replay.ended.get());
    let (mut before, mut idle) = (state(), 0);
    std::future::poll_fn(|context| {
        if let Poll::Ready(outcome) = evaluation.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        idle = if state() == before { idle + 1 } else { 0 };
        before = state();
        if idle > PATIENCE {
            return Poll::Ready(None);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

impl Host for Replay<'_> {
    async fn fetch(&self, request: Outgoing) -> Result<Answer, FetchError> {
        let number = self.sent.borrow().len();
        let Some(exchange) = self.recorded.exchanges.get(number) else {
            self.fault.borrow_mut().get_or_insert("it makes a request more".into());
            return Err(FetchError::Connect("there was no such request".into()));
        };
        if exchange.request.method != request.method || exchange.request.url.origin() != request.url.origin() {
            self.fault.borrow_mut().get_or_insert("it makes another request".into());
        }
        self.sent.borrow_mut().push(request);
        // Calls that start together are all on their way before the first has its answer.
        once_more().await;
        self.turn(Event::Fetched(number)).await;
        self.answers[number].reply.clone()
    }

    fn secret(&self, name: &str, _: &SecretSource) -> Result<Secret, String> {
        Ok(Secret::new(self.credentials.secret(name)))
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        // No connection is made.
        Ok(())
    }

    fn script(&self, file: &str) -> Result<String, String> {
        String::from_utf8((self.files)(file)?).map_err(|_| "it is not UTF-8".to_owned())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.kept.shared(key, make).await
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        self.kept.forget(key, stale);
    }

    fn may_repeat(&self, _: &Url) -> bool {
        let number = self.repeats.replace(self.repeats.get() + 1);
        self.recorded.repeats.get(number).copied().unwrap_or(true)
    }

    async fn pause(&self, _: Duration) {
        let number = self.pauses.replace(self.pauses.get() + 1);
        self.turn(Event::Paused(number)).await;
    }

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        time()
    }
}
