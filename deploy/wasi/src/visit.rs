//! The core's door for one request: upstream calls by `wasi:http`, and the waiting for them.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use claimsmith::core::{
    Answer, Capability, Degree, FetchError, Host, Outgoing, Platform, Secret, SecretSource,
    identity::{Half, Identity},
    store::{Entry, Key},
};
use url::{Position, Url};
use wasip2::{
    clocks::{monotonic_clock, wall_clock},
    io::poll::{Pollable, poll},
};

use crate::{outside, rules::Bundle, settings::Settings};

/// One request's view of the world.
pub struct Visit<'a> {
    settings: &'a Settings,
    bundle: &'a Bundle,
    environment: HashMap<String, String>,
    /// Who waits for what.
    waits: RefCell<Vec<(Rc<Pollable>, Waker)>>,
    /// What calls of this request share; it ends with the request.
    made: RefCell<HashMap<Key, Entry>>,
    making: RefCell<HashMap<Key, Vec<Waker>>>,
    late: Cell<bool>,
}

#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Visit<'a> {
    pub fn new(settings: &'a Settings, bundle: &'a Bundle) -> Self {
        Visit {
            settings,
            bundle,
            environment: outside::environment(),
            waits: RefCell::default(),
            made: RefCell::default(),
            making: RefCell::default(),
            late: Cell::new(false),
        }
    }

    /// Runs to the end, or to the deadline.
    pub fn run<T>(&self, deadline: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let end = monotonic_clock::subscribe_duration(nanos(deadline));
        let again = Arc::<Again>::default();
        let waker = Waker::from(again.clone());
        loop {
            again.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(done);
            }
            if end.ready() {
                self.late.set(true);
                return None;
            }
            if !again.0.load(Ordering::Relaxed) {
                self.wait(&end);
            }
        }
    }

    /// Waits until something that somebody waits for is there, or the end.
    fn wait(&self, end: &Pollable) {
        let waits = self.waits.borrow();
        let all: Vec<&Pollable> = waits.iter().map(|(pollable, _)| &**pollable).chain([end]).collect();
        let ready: Vec<usize> = poll(&all).into_iter().map(|at| at as usize).collect();
        drop(all);
        drop(waits);
        let mut at = 0;
        let woken: Vec<_> = self
            .waits
            .borrow_mut()
            .extract_if(.., |_| {
                at += 1;
                ready.contains(&(at - 1))
            })
            .collect();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Until it is ready.
    pub async fn ready(&self, pollable: Pollable) {
        let waits = Waits { visit: self, pollable: Rc::new(pollable) };
        poll_fn(|context| match waits.pollable.ready() {
            true => Poll::Ready(()),
            false => {
                let mut all = self.waits.borrow_mut();
                if !all.iter().any(|(known, _)| Rc::ptr_eq(known, &waits.pollable)) {
                    all.push((waits.pollable.clone(), context.waker().clone()));
                }
                Poll::Pending
            }
        })
        .await;
    }

    /// The same resource where the operator says that its origin is.
    fn lead(&self, url: Url) -> Url {
        let reroute = &self.settings.upstream.reroute;
        let target = reroute.iter().find(|(from, _)| *from == url[..Position::BeforePath]);
        let Some((_, to)) = target else { return url };
        // Two sound URLs make a sound one.
        Url::parse(&format!("{to}{}", &url[Position::BeforePath..])).unwrap_or(url)
    }
}

impl Host for Visit<'_> {
    async fn fetch(&self, mut outgoing: Outgoing) -> Result<Answer, FetchError> {
        if outgoing.identity.is_some() {
            // It was refused when the rule was loaded.
            return Err(FetchError::Connect("no certificate can be shown here".into()));
        }
        let limit = outgoing.timeout;
        outgoing.url = self.lead(outgoing.url);
        let exchange = outside::exchange(self, outgoing, self.settings.upstream.max_body);
        match limit {
            Some(limit) => self.within(limit, exchange).await.unwrap_or(Err(FetchError::Timeout)),
            // The deadline of the whole request holds.
            None => exchange.await,
        }
    }

    fn secret(&self, _: &str, source: &SecretSource) -> Result<Secret, String> {
        match source {
            SecretSource::Env(name) => match self.environment.get(name) {
                Some(value) if value.is_empty() => Err(format!("the environment variable {name} is empty")),
                Some(value) => Ok(Secret::new(value.as_str())),
                None => Err(format!("there is no environment variable {name}")),
            },
            SecretSource::File(_) => Err(never(Capability::SecretFiles)),
        }
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Err((Half::Certificate, never(Capability::ClientCertificates)))
    }

    fn script(&self, file: &str) -> Result<String, String> {
        self.bundle.scripts.get(file).cloned().ok_or_else(|| "it is not in the bundle".into())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        loop {
            if let Some(entry) = self.made.borrow().get(key) {
                return Ok(entry.clone());
            }
            if !self.making.borrow().contains_key(key) {
                break;
            }
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
        self.made.borrow_mut().insert(*key, entry.clone());
        Ok(entry)
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        let mut made = self.made.borrow_mut();
        if made.get(key) == Some(stale) {
            made.remove(key);
        }
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut end) = (pin!(work), pin!(self.ready(monotonic_clock::subscribe_duration(nanos(limit)))));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => end.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    async fn pause(&self, least: Duration) {
        // The last digits of the clock are as random as this has to be.
        let part = (monotonic_clock::now() / 1000 % 1000) as f64 / 1000.0;
        let wait = least.mul_f64(1.0 + part / 2.0);
        self.ready(monotonic_clock::subscribe_duration(nanos(wait))).await;
    }

    fn clock() -> Duration {
        Duration::from_nanos(monotonic_clock::now())
    }

    fn now() -> Duration {
        let now = wall_clock::now();
        Duration::new(now.seconds, now.nanoseconds)
    }
}

/// Somebody who waits, and may be given up: what it waits for must go before what that was made of.
struct Waits<'a> {
    visit: &'a Visit<'a>,
    pollable: Rc<Pollable>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.visit.waits.borrow_mut().retain(|(known, _)| !Rc::ptr_eq(known, &self.pollable));
    }
}

/// An entry that is being made, by a call that may be given up.
struct Making<'a>(&'a RefCell<HashMap<Key, Vec<Waker>>>, Key);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().remove(&self.1).into_iter().flatten().for_each(Waker::wake);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Why something cannot be done here, as the table has it.
fn never(capability: Capability) -> String {
    match Platform::Wasi.degree(capability) {
        Degree::Never(instead) => format!("a component has no {}: {instead}", capability.name()),
        Degree::Whole | Degree::Otherwise(_) => format!("a component has no {}", capability.name()),
    }
}
