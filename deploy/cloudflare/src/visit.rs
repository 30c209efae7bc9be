//! The core's door for one request: its upstream calls, and what lives longer than it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::{pending, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use claimsmith::core::{
    Answer, Capability, Degree, FetchError, Host, Outgoing, Platform, Secret, SecretSource,
    identity::{Half, Identity},
    store::{Entry, Key, Seal},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::{Position, Url};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::gateway::Rules;

#[wasm_bindgen]
extern "C" {
    /// What `core.mjs` offers to one request.
    pub type Outside;

    /// Sends a request; `Task.answered` or `Task.failed` is called with this number, later.
    #[wasm_bindgen(method)]
    fn ask(
        this: &Outside,
        number: u32,
        method: &str,
        url: &str,
        headers: &str,
        body: &[u8],
        limit_ms: f64,
        max_body: f64,
    );

    /// Waits; `Task.answered` is called with this number, later.
    #[wasm_bindgen(method)]
    fn wait(this: &Outside, number: u32, ms: f64);

    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;

    #[wasm_bindgen(js_namespace = Math, js_name = random)]
    fn random() -> f64;
}

/// The words of a failed connection: the platform's own may hold an address, and that a token.
const NO_CONNECTION: &str = "the platform could not connect";
const BROKEN: &str = "the connection was lost";

/// One request's view of the world.
pub struct Visit {
    outside: Outside,
    rules: Rc<Rules>,
    /// When the request must be answered, by the clock; `MAX` until its rule is known.
    until: Cell<Duration>,
    waiting: RefCell<Vec<Waiting>>,
    /// Those who want an entry that another call of this request is making.
    making: RefCell<HashMap<Key, Vec<Waker>>>,
}

/// A call that is on its way.
#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    result: Option<Result<Answer, FetchError>>,
}

impl Visit {
    pub fn new(outside: Outside, rules: Rc<Rules>) -> Self {
        let until = Cell::new(Duration::MAX);
        Visit { outside, rules, until, waiting: RefCell::default(), making: RefCell::default() }
    }

    /// The request must be answered within this time; gives the end of it by the clock.
    pub fn answer_within(&self, deadline: Duration) -> Duration {
        let until = Visit::clock().saturating_add(deadline);
        self.until.set(until);
        until
    }

    /// What is left of that time.
    fn left(&self) -> Duration {
        self.until.get().saturating_sub(Visit::clock())
    }

    /// True if nothing is left of it.
    pub fn is_late(&self) -> bool {
        self.left().is_zero()
    }

    /// What became of a call. A number that is not known is one of a request that is over.
    pub fn settle(&self, number: u32, result: Result<Answer, FetchError>) {
        let mut waiting = self.waiting.borrow_mut();
        let Some(call) = waiting.get_mut(number as usize) else { return };
        call.result = Some(result);
        if let Some(waker) = call.waker.take() {
            waker.wake();
        }
    }

    /// A number for a call that is about to be made.
    fn number(&self) -> u32 {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push(Waiting::default());
        // A request has at most some thousands.
        (waiting.len() - 1) as u32
    }

    /// Waits until a call is settled.
    async fn settled(&self, number: u32) -> Result<Answer, FetchError> {
        poll_fn(|context| {
            let mut waiting = self.waiting.borrow_mut();
            let Some(call) = waiting.get_mut(number as usize) else { return Poll::Pending };
            match call.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    call.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The same resource where the operator says that its origin is.
    fn lead(&self, url: Url) -> Url {
        let reroute = &self.rules.settings.upstream.reroute;
        let target = reroute.iter().find(|(from, _)| *from == url[..Position::BeforePath]);
        let Some((_, to)) = target else { return url };
        // Two sound URLs make a sound one.
        Url::parse(&format!("{to}{}", &url[Position::BeforePath..])).unwrap_or(url)
    }
}

impl Host for Visit {
    async fn fetch(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        let Outgoing { method, url, headers, body, timeout, identity, number: _ } = outgoing;
        if identity.is_some() {
            // It was refused when the rule was loaded.
            return Err(FetchError::Connect(NO_CONNECTION.into()));
        }
        let left = self.left();
        let limit = timeout.map_or(left, |timeout| timeout.min(left));
        let number = self.number();
        let most = self.rules.settings.upstream.max_body;
        self.outside.ask(
            number,
            method.as_str(),
            self.lead(url).as_str(),
            &write_headers(&headers),
            &body,
            limit.as_millis() as f64,
            most as f64,
        );
        let result = self.settled(number).await;
        if result == Err(FetchError::Timeout) && timeout.is_none_or(|timeout| timeout >= left) {
            // It was the request's own time that is spent: `Task` sees that, and answers.
            self.until.set(Duration::ZERO);
            return pending().await;
        }
        result
    }

    fn secret(&self, _: &str, source: &SecretSource) -> Result<Secret, String> {
        match source {
            SecretSource::Env(name) => match self.rules.secret(name) {
                Some(value) if value.is_empty() => Err(format!("the binding {name} is empty")),
                Some(value) => Ok(Secret::new(value)),
                None => Err(format!("there is no binding {name}")),
            },
            SecretSource::File(_) => Err(never(Capability::SecretFiles)),
        }
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Err((Half::Certificate, never(Capability::ClientCertificates)))
    }

    fn script(&self, file: &str) -> Result<String, String> {
        self.rules.script(file).ok_or_else(|| "it is not in the bundle".into())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        loop {
            if let Some(entry) = self.rules.store.recall(key, Visit::now()) {
                return Ok(entry);
            }
            if !self.making.borrow().contains_key(key) {
                break;
            }
            // Another call of this request makes it.
            let mut waited = false;
            poll_fn(|context| match self.making.borrow_mut().get_mut(key) {
                Some(wakers) if !std::mem::replace(&mut waited, true) => {
                    wakers.push(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            })
            .await;
        }
        self.making.borrow_mut().insert(*key, Vec::new());
        let _making = Making(&self.making, *key);
        let entry = make.await?;
        self.rules.store.keep(key, entry.clone(), Visit::now());
        Ok(entry)
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        self.rules.store.forget(key, stale);
    }

    fn seal(&self) -> Option<&Seal> {
        Some(&self.rules.store.seal)
    }

    async fn recall(&self, key: &Key) -> Option<Entry> {
        self.rules.store.recall(key, Visit::now())
    }

    async fn keep(&self, key: &Key, entry: Entry) {
        self.rules.store.keep(key, entry, Visit::now());
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let number = self.number();
        self.outside.wait(number, limit.min(self.left()).as_millis() as f64);
        let (mut work, mut end) = (pin!(work), pin!(self.settled(number)));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => end.as_mut().poll(context).map(|_| None),
        })
        .await
    }

    async fn pause(&self, least: Duration) {
        let wait = least.mul_f64(1.0 + random() / 2.0);
        let late = wait >= self.left();
        let number = self.number();
        self.outside.wait(number, wait.min(self.left()).as_millis() as f64);
        let _ = self.settled(number).await;
        if late {
            self.until.set(Duration::ZERO);
            pending::<()>().await;
        }
    }

    fn clock() -> Duration {
        Visit::now()
    }

    fn now() -> Duration {
        Duration::try_from_secs_f64(date_now() / 1000.0).unwrap_or_default()
    }
}

/// An entry that is being made, by a call that may be given up.
struct Making<'a>(&'a RefCell<HashMap<Key, Vec<Waker>>>, Key);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().remove(&self.1).into_iter().flatten().for_each(Waker::wake);
    }
}

/// Why something cannot be done here, as the table has it.
fn never(capability: Capability) -> String {
    match Platform::Cloudflare.degree(capability) {
        Degree::Never(instead) => format!("a Worker has no {}: {instead}", capability.name()),
        Degree::Whole | Degree::Otherwise(_) => format!("a Worker has no {}", capability.name()),
    }
}

/// Headers in one text: name and value in turn, a line each. No value can hold the end of a line.
pub fn write_headers(headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(64 * headers.len());
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    text
}

/// The same text as headers; what is none is left out.
pub fn read_headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut lines = text.split('\n');
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// An answer of an upstream.
pub fn answer(status: u16, headers: &str, body: Vec<u8>) -> Result<Answer, FetchError> {
    let status = StatusCode::from_u16(status).map_err(|_| FetchError::Broken(BROKEN.into()))?;
    Ok(Answer { status, headers: read_headers(headers), body: Bytes::from(body) })
}

/// Why there is none, by the number that `core.mjs` has for it.
pub fn failure(kind: u8, max_body: usize) -> FetchError {
    match kind {
        1 => FetchError::Timeout,
        2 => FetchError::Connect(NO_CONNECTION.into()),
        3 => FetchError::TooLarge(max_body),
        4 => FetchError::Broken("its Content-Encoding is not known here".into()),
        _ => FetchError::Broken(BROKEN.into()),
    }
}
