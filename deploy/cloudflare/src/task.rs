//! One request on its way to its answer, a step at a time.

use std::{
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use claimsmith::core::{CompiledRule, Failure, Host, Outcome, Reception, Request, Response, answer, refuse};
use http::{HeaderName, HeaderValue, Method, Uri};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{
    gateway::Rules,
    line::{self, Level},
    visit::{self, Visit, write_headers},
};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// In place of the name of a rule, if there is none.
const NOWHERE: &str = "-";
/// A step of a request that wakes itself without end would keep the isolate from everything else.
const MAX_POLLS: u32 = 10_000;

/// A request as it arrived.
pub struct Arrived<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: &'a str,
    pub body: Vec<u8>,
    pub fault: u8,
}

/// A request that is being answered.
#[wasm_bindgen]
pub struct Task {
    future: Pin<Box<dyn Future<Output = Done>>>,
    visit: Rc<Visit>,
    again: Arc<Again>,
    max_body: usize,
    done: Option<Done>,
}

/// An answer, and the line about it.
struct Done {
    response: Response,
    level: Level,
    line: String,
}

#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    /// A task for a request.
    pub(crate) fn new(arrived: Arrived<'_>, rules: Rc<Rules>, visit: Visit) -> Self {
        let visit = Rc::new(visit);
        let max_body = rules.settings.upstream.max_body;
        let fault = arrived.fault;
        let request = request(arrived);
        let future: Pin<Box<dyn Future<Output = Done>>> = Box::pin(respond(rules, visit.clone(), request, fault));
        Task { future, visit, again: Arc::default(), max_body, done: None }
    }
}

#[wasm_bindgen]
impl Task {
    /// Goes on as far as it can; true once there is an answer.
    pub fn step(&mut self) -> bool {
        let waker = Waker::from(self.again.clone());
        let mut context = Context::from_waker(&waker);
        for _ in 0..MAX_POLLS {
            self.again.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(done) = self.future.as_mut().poll(&mut context) {
                self.done = Some(done);
                return true;
            }
            if !self.again.0.load(Ordering::Relaxed) {
                return false;
            }
        }
        // Without an answer its status is none, which `core.mjs` takes for the fault that it is.
        true
    }

    /// An upstream answered a call, or a pause is over.
    pub fn answered(&self, number: u32, status: u16, headers: &str, body: Vec<u8>) {
        self.visit.settle(number, visit::answer(status, headers, body));
    }

    /// There is no answer to a call: 1 in time, 2 no connection, 3 too large, 4 an unknown encoding, 5 broken off.
    pub fn failed(&self, number: u32, kind: u8) {
        self.visit.settle(number, Err(visit::failure(kind, self.max_body)));
    }

    /// The status of the answer; 0 before there is one.
    #[wasm_bindgen(getter)]
    pub fn status(&self) -> u16 {
        self.done.as_ref().map_or(0, |done| done.response.status().as_u16())
    }

    /// Its headers: name and value in turn, a line each.
    #[wasm_bindgen(getter)]
    pub fn headers(&self) -> String {
        self.done.as_ref().map(|done| write_headers(done.response.headers())).unwrap_or_default()
    }

    /// Its body: JSON, or nothing.
    #[wasm_bindgen(getter)]
    pub fn body(&self) -> String {
        let body = self.done.as_ref().map(|done| String::from_utf8_lossy(done.response.body()).into_owned());
        body.unwrap_or_default()
    }

    /// The line for the log; nothing for one that is not serious enough.
    #[wasm_bindgen(getter)]
    pub fn line(&self) -> String {
        self.done.as_ref().map(|done| done.line.clone()).unwrap_or_default()
    }

    /// How it is written: 0 information, 1 a warning, 2 an error.
    #[wasm_bindgen(getter)]
    pub fn level(&self) -> u8 {
        self.done.as_ref().map_or(0, |done| done.level as u8)
    }
}

/// The request in the types of the core; nothing if it is none.
fn request(arrived: Arrived<'_>) -> Option<Request> {
    let mut request = http::Request::new(Bytes::from(arrived.body));
    *request.method_mut() = Method::from_bytes(arrived.method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(arrived.target).ok()?;
    *request.headers_mut() = visit::read_headers(arrived.headers);
    Some(request)
}

async fn respond(rules: Rc<Rules>, visit: Rc<Visit>, request: Option<Request>, fault: u8) -> Done {
    let began = Visit::clock();
    let (sound, request) = (request.is_some(), request.unwrap_or_default());
    let given = request.headers().get(&REQUEST_ID).filter(|id| is_plain(id)).and_then(|id| id.to_str().ok());
    let id = given.map_or_else(|| rules.next_id(), str::to_owned);
    let rule = rules.find(request.uri().path(), &visit);
    let outcome = match (sound, fault) {
        (false, _) | (_, 2) => refuse(rule.as_deref(), Failure::Unreadable, &id),
        (_, 1) => refuse(rule.as_deref(), Failure::RequestTooLarge, &id),
        _ => within_limits(&rules, rule.as_deref(), &visit, &request, &id).await,
    };
    let took = Visit::clock().saturating_sub(began).as_millis();
    let name = rule.as_ref().map_or(NOWHERE, |rule| rule.name());
    let took = u64::try_from(took).unwrap_or(u64::MAX);
    let level = line::level(&outcome);
    let line = match level >= rules.settings.log.level {
        true => line::write(level, name, request.method(), &outcome, took, &id),
        false => String::new(),
    };
    let mut response = outcome.response;
    response.headers_mut().insert(REQUEST_ID, HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown")));
    Done { response, level, line }
}

/// Answers within the deadline.
async fn within_limits(
    rules: &Rules,
    rule: Option<&CompiledRule>,
    visit: &Visit,
    request: &Request,
    id: &str,
) -> Outcome {
    let settings = &rules.settings;
    if request.headers().len() > settings.max_request_headers {
        return refuse(rule, Failure::TooManyHeaders, id);
    }
    let until = visit.answer_within(rule.map_or(settings.deadline, |rule| rule.deadline(settings.deadline)));
    let reception = Reception { query_token: settings.query_token, until: Some(until) };
    let mut work = std::pin::pin!(answer(rule, request, id, reception, visit, None));
    let outcome = std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        // A call noticed that the time is spent.
        Poll::Pending if visit.is_late() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    outcome.await.unwrap_or_else(|| refuse(rule, Failure::Deadline, id))
}

/// A caller's id is taken over if it is short and plain, so that it cannot forge log lines.
fn is_plain(id: &HeaderValue) -> bool {
    const MAX: usize = 128;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !id.is_empty() && id.len() <= MAX && id.as_bytes().iter().all(plain)
}
