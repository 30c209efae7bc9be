//! A host that notes what comes through its door.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use url::Url;

use crate::core::{
    compile::CompiledRule,
    host::{Host, SecretSource},
    identity::{Half, Identity},
    message::{Answer, FetchError, Outgoing, Secret},
    rule::MAX_SOURCE,
    store::{Entry, Key},
};

/// The most exchanges of one login that are kept: each becomes an answer of the case.
const MAX_EXCHANGES: usize = 200;
/// The most bytes of one login that are kept: a case has fewer, so more could not be written down.
const MAX_BYTES: usize = 4 * MAX_SOURCE;

/// One request and what came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request.
    pub request: Outgoing,
    /// What came back; `None` if nothing did until the login was over.
    pub reply: Option<Result<Answer, FetchError>>,
}

/// What happened at the door, in its order: numbers of things that began there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An exchange ended.
    Fetched(usize),
    /// A pause ended.
    Paused(usize),
}

/// Everything that was noted.
#[derive(Debug, Default)]
pub struct Recorded {
    pub(super) exchanges: Vec<Exchange>,
    /// In which order they ended.
    pub(super) ends: Vec<Event>,
    pauses: usize,
    /// Exchanges that nobody waits for any more.
    abandoned: Vec<usize>,
    /// Whether attempts might be repeated, as often as the rule asked.
    pub(super) repeats: Vec<bool>,
    /// Bytes of all exchanges; nothing is kept of more than there may be.
    pub(super) bytes: usize,
    pub(super) secrets: BTreeMap<String, Secret>,
    /// The texts of scripts beside the rule.
    pub(super) scripts: Vec<String>,
}

impl Recorded {
    /// Adds what a rule was compiled with, where it was not compiled with the recorder.
    #[must_use]
    pub fn of_rule(mut self, rule: &CompiledRule, script: Option<String>) -> Self {
        self.secrets.clone_from(&rule.secrets);
        self.scripts.extend(script);
        self
    }

    /// True if there was more than can be kept.
    pub(super) fn is_too_large(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_too_large() {
            self.exchanges = Vec::new();
        }
    }

    /// Gives an answer to the requests that had none when the login was over: it ended by another call, and nobody
    /// knows what they would have said.
    pub(super) fn complete(&mut self) {
        for exchange in self.exchanges.iter_mut().filter(|exchange| exchange.reply.is_none()) {
            let body = bytes::Bytes::from_static(b"{}");
            exchange.reply = Some(Ok(Answer { status: http::StatusCode::OK, headers: HeaderMap::new(), body }));
        }
    }
}

/// Stands before a host. The rule is compiled with it, so that it knows the secrets, or they are added in the end.
///
/// Nothing is used again that was kept: a case has all the answers that it needs.
#[derive(Debug)]
pub struct Recorder<'h, H> {
    host: &'h H,
    recorded: Mutex<Recorded>,
}

impl<'h, H> Recorder<'h, H> {
    /// Nothing is noted yet.
    pub fn new(host: &'h H) -> Self {
        Recorder { host, recorded: Mutex::default() }
    }

    /// All that was noted, when the login is over.
    pub fn into_recorded(self) -> Recorded {
        self.recorded.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Host> Host for Recorder<'_, H> {
    async fn fetch(&self, request: Outgoing) -> Result<Answer, FetchError> {
        let number = {
            let mut notes = self.notes();
            notes.count(request.url.as_str().len() + request.body.len() + length(&request.headers));
            if notes.exchanges.len() < MAX_EXCHANGES && !notes.is_too_large() {
                notes.exchanges.push(Exchange { request: request.clone(), reply: None });
                Some(notes.exchanges.len() - 1)
            } else {
                None
            }
        };
        let mut flight = Flight { notes: &self.recorded, number };
        let reply = self.host.fetch(request).await;
        flight.number = None;
        if let Some(number) = number {
            let mut notes = self.notes();
            notes.count(reply.as_ref().map_or(0, |answer| answer.body.len() + length(&answer.headers)));
            if let Some(exchange) = notes.exchanges.get_mut(number) {
                exchange.reply = Some(reply.clone());
            }
            notes.ends.push(Event::Fetched(number));
        }
        reply
    }

    fn secret(&self, name: &str, source: &SecretSource) -> Result<Secret, String> {
        let secret = self.host.secret(name, source)?;
        self.notes().secrets.insert(name.to_owned(), secret.clone());
        Ok(secret)
    }

    fn check(&self, identity: &Identity) -> Result<(), (Half, String)> {
        self.host.check(identity)
    }

    fn script(&self, file: &str) -> Result<String, String> {
        let text = self.host.script(file)?;
        self.notes().scripts.push(text.clone());
        Ok(text)
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.host.shared(key, make).await
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        self.host.forget(key, stale).await;
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let outcome = self.host.within(limit, work).await;
        if outcome.is_none() {
            let mut notes = self.notes();
            for number in std::mem::take(&mut notes.abandoned) {
                if let Some(exchange) = notes.exchanges.get_mut(number) {
                    exchange.reply = Some(Err(FetchError::Timeout));
                }
                notes.ends.push(Event::Fetched(number));
            }
        }
        outcome
    }

    fn may_repeat(&self, address: &Url) -> bool {
        let may = self.host.may_repeat(address);
        let mut notes = self.notes();
        if notes.repeats.len() < MAX_EXCHANGES {
            notes.repeats.push(may);
        }
        may
    }

    async fn pause(&self, least: Duration) {
        let number = {
            let mut notes = self.notes();
            notes.pauses += 1;
            notes.pauses - 1
        };
        self.host.pause(least).await;
        self.notes().ends.push(Event::Paused(number));
    }

    fn clock() -> Duration {
        H::clock()
    }

    fn now() -> Duration {
        H::now()
    }
}

/// An exchange that is on its way, and has a number until it ends. If it is given up, that is noted.
struct Flight<'a> {
    notes: &'a Mutex<Recorded>,
    number: Option<usize>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).abandoned.push(number);
        }
    }
}

/// Bytes of all headers.
fn length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
