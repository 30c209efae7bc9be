//! One request: hyper's form in, the core's answer out, one line in the log.

use std::{
    convert::Infallible,
    fmt::Write,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use http::{HeaderName, HeaderValue, Method, Version, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{
    Shared, Upstream,
    access::{Peer, Visit},
    clock,
    connection::Activity,
    metrics::{Fault, NOWHERE},
    otlp::{Ended, Requests, Watched},
    recording::Noted,
    serving::{Served, Set},
    wellformed::is_well_formed,
};
use crate::core::{
    Blame, CompiledRule, Failure, Host, Outcome, Reception, Request, Trace, answer, method_name, record::Recorder,
    refuse,
};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What answers the requests of one worker.
pub(super) struct Service {
    /// The number of the worker.
    worker: usize,
    shared: Arc<Shared>,
    upstream: Upstream,
    ids: Ids,
    chatter: Chatter,
    /// What watches requests that may leave a trace.
    requests: Option<Requests>,
}

impl Service {
    pub(super) fn new(worker: usize, shared: Arc<Shared>, upstream: Upstream) -> Self {
        let requests = shared.otlp.clone().map(|otlp| Requests::new(otlp, &shared.settings));
        Service { worker, shared, upstream, ids: Ids::new(), chatter: Chatter::default(), requests }
    }

    /// Looks whether certificates of upstreams have changed. Each worker has its own connections; one tells of it.
    pub(super) fn refresh(&self) {
        match self.upstream.refresh() {
            Ok(true) if self.worker == 0 => tracing::info!("certificates for upstreams were read again"),
            Err(why) if self.worker == 0 => {
                tracing::error!("new certificates for upstreams are not used, the old ones stay: {why}");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Answers a request; never fails, whatever happens becomes an answer.
    pub(super) async fn respond(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        activity: Arc<Activity>,
        peer: Peer,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        let _open = activity.open();
        let started = clock();
        let id = self.ids.take(request.headers().get(&REQUEST_ID));
        let text = id.to_str().unwrap_or_default();
        let (head, body) = request.into_parts();
        let mut request = Request::from_parts(head, Bytes::new());
        // Kept to the end, whatever is loaded meanwhile.
        let set = self.shared.workers[self.worker].set();
        let served = set.find(request.uri().path());
        let watched = self.requests.as_ref().map(|requests| requests.watch(request.headers()));
        let steps = served.and_then(|_| self.shared.traces.begin());
        let times = if steps.is_none() { watched.as_ref().and_then(Watched::trace) } else { None };
        let trace = steps.as_ref().or(times.as_ref());
        let reached = Reached { set: &set, served, peer: &peer, id: text, trace };
        let client = self.shared.settings.log.client.then(|| match &set.access {
            Some(access) => access.client(&peer, &request),
            None => peer.address(),
        });
        let outcome = {
            let work = pin!(self.perform(&reached, &mut request, body));
            match &watched {
                None => work.await,
                Some(watched) => watched.within(work).await,
            }
        };
        let took = clock().saturating_sub(started);
        self.tell(&Told { request: &request, id: text, client, watched: watched.as_ref() }, served, &outcome, took);
        if let (Some(steps), Some(served)) = (&steps, served) {
            self.shared.traces.keep(&served.rule, text, steps, &outcome, took);
        }
        if let (Some(requests), Some(watched)) = (&self.requests, &watched) {
            requests.end(watched, trace, &ended(&request, served, &outcome));
        }
        let version = request.version();
        let mut response = outcome.response.map(Full::new);
        response.headers_mut().insert(REQUEST_ID, id);
        // After chunks a connection ends, so that nothing can hide behind them.
        let is_last = !is_well_formed(&request) || request.headers().contains_key(header::TRANSFER_ENCODING);
        if version < Version::HTTP_2 && (is_last || self.shared.is_leaving()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// Answers a request; it becomes a case if that is what somebody waits for.
    async fn perform(&self, reached: &Reached<'_>, request: &mut Request, body: Incoming) -> Outcome {
        match self.shared.recordings.take(reached.rule(), reached.id) {
            None => self.without_panic(reached, request, body, &self.upstream).await,
            Some(noted) => Box::pin(self.record(noted, reached, request, body)).await,
        }
    }

    /// Answers a request, and has a case made of it.
    async fn record(&self, noted: Noted<'_>, reached: &Reached<'_>, request: &mut Request, body: Incoming) -> Outcome {
        let host = self.upstream.apart();
        let recorder = Recorder::new(&host);
        let outcome = self.without_panic(reached, request, body, &recorder).await;
        if let Some(served) = reached.served {
            noted.end(&served.rule, reached.set, request, &outcome, recorder.into_recorded(), &self.shared);
        }
        outcome
    }

    /// A fault of ours ends one request, not its connection with whoever else is on it.
    async fn without_panic<H: Host>(
        &self,
        reached: &Reached<'_>,
        request: &mut Request,
        body: Incoming,
        host: &H,
    ) -> Outcome {
        let work = pin!(self.within_limits(reached, request, body, host));
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.shared.tally.panics.fetch_add(1, Ordering::Relaxed);
                refuse(reached.rule(), Failure::Panic, reached.id)
            }
        }
    }

    /// Answers within the deadline, if not too many others are being answered.
    async fn within_limits<H: Host>(
        &self,
        reached: &Reached<'_>,
        request: &mut Request,
        body: Incoming,
        host: &H,
    ) -> Outcome {
        let (settings, rule, id) = (&reached.set.settings, reached.rule(), reached.id);
        if !is_well_formed(request) {
            return refuse(reached.shown(), Failure::Unreadable, id);
        }
        if request.headers().len() > settings.max_request_headers {
            return refuse(reached.shown(), Failure::TooManyHeaders, id);
        }
        // Not `tokio::time::timeout`: that would move the whole evaluation.
        let time = rule.map_or(settings.deadline.0, |rule| rule.deadline(settings.deadline.0));
        let deadline = pin!(tokio::time::sleep(time));
        let work = pin!(self.visit(reached, request, body, clock() + time, host));
        match select(work, deadline).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => refuse(rule, Failure::Deadline, id),
        }
    }

    /// Answers, if whoever asks may.
    async fn visit<H: Host>(
        &self,
        reached: &Reached<'_>,
        request: &mut Request,
        body: Incoming,
        until: Duration,
        host: &H,
    ) -> Outcome {
        let Some(access) = &reached.set.access else {
            return self.evaluate(reached, request, body, None, until, host).await;
        };
        match access.enter(reached.served.map(|served| &*served.door), reached.peer, request) {
            Err(failure) => refuse(reached.rule(), failure, reached.id),
            Ok(mut visit) => {
                let outcome = self.evaluate(reached, request, body, Some(&mut visit), until, host).await;
                visit.leave(outcome, reached.id, &self.upstream).await
            }
        }
    }

    async fn evaluate<H: Host>(
        &self,
        reached: &Reached<'_>,
        request: &mut Request,
        body: Incoming,
        visit: Option<&mut Visit<'_>>,
        until: Duration,
        host: &H,
    ) -> Outcome {
        let (settings, rule, id) = (&reached.set.settings, reached.rule(), reached.id);
        // The bodies of other methods have no meaning here and are left unread, as are those that no rule will see.
        if request.method() == Method::POST && rule.is_some() {
            // As many as there may be connections: streams of HTTP/2 are no way around that.
            let Some(_place) = Place::take(&self.shared.receiving, self.shared.settings.max_connections) else {
                return refuse(rule, Failure::Overload, id);
            };
            match receive(body, settings.max_request_body).await {
                Ok(body) => *request.body_mut() = body,
                Err(failure) => return refuse(rule, failure, id),
            }
        }
        // Not before: whoever sends slowly would take the place of those for whom there is something to do.
        let Some(_place) = Place::take(&self.shared.in_flight, settings.max_requests) else {
            return refuse(rule, Failure::Overload, id);
        };
        #[cfg(test)]
        tests::stumble(request);
        let reception = Reception { query_token: settings.query_token, until: Some(until) };
        if let Some(visit) = visit
            && let Err(failure) = visit.knock(rule.map(CompiledRule::name), request, reception, &self.upstream).await
        {
            return refuse(rule, failure, id);
        }
        answer(rule, request, id, reception, host, reached.trace).await
    }

    /// Counts an answer, and writes one line: no token, no secret, no claim, and no path that is no rule's name.
    fn tell(&self, told: &Told<'_>, served: Option<&Served>, outcome: &Outcome, took: Duration) {
        let Told { request, id, client, watched } = *told;
        let client = client.map(tracing::field::display);
        // A path or method that we do not know may be anything, also a token in the wrong place.
        let rule = served.map_or(NOWHERE, |served| served.rule.name());
        let method = method_name(request.method());
        let status = outcome.response.status().as_u16();
        let tally = served.map_or(&self.shared.tally.nowhere, |served| &served.tally);
        let calls = outcome.calls.sent;
        tally.count(self.worker, outcome, took);
        outcome.failure.iter().for_each(|failure| self.shared.tally.limit(failure));
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let given_up = (!outcome.calls.given_up.is_empty()).then(|| outcome.calls.given_up.join(","));
        let given_up = given_up.as_deref();
        let some = |count: u32| (count > 0).then_some(count);
        let (kept, stale) = (some(outcome.calls.kept), some(outcome.calls.stale));
        let reason = outcome.failure.as_ref().map(Failure::words);
        let reason = reason.as_deref();
        let message = if reason.is_some() { "refused" } else { "answered" };
        let blame = outcome.failure.as_ref().map(Failure::blame);
        let trace_id = watched.map(Watched::id);
        let trace_id = trace_id.as_deref();
        let turned_away = outcome.failure.as_ref().and_then(Failure::turned_away);
        if let Some(why) = turned_away {
            self.shared.tally.refuse(why);
        }
        // These come from whoever likes, and as many as they like.
        if (served.is_none() || turned_away.is_some()) && !self.chatter.may_tell(clock()) {
            tracing::debug!(rule, client, method, status, duration_us, reason, request_id = id, trace_id, message);
            return;
        }
        // The level of an event is part of its place in the source.
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    rule,
                    client,
                    method,
                    status,
                    duration_us,
                    calls,
                    kept,
                    stale,
                    given_up,
                    reason,
                    request_id = id,
                    trace_id,
                    message
                )
            };
        }
        match blame {
            Some(Blame::Us) => tell!(error),
            Some(Blame::Upstream) => tell!(warn),
            None if given_up.is_some() || stale.is_some() => tell!(warn),
            None | Some(Blame::Caller) => tell!(info),
        }
        if let (Some(Blame::Us | Blame::Upstream), Some(reason)) = (blame, reason) {
            let step = outcome.failure.as_ref().map(|failure| failure.stage().to_string()).unwrap_or_default();
            let (time, reason, request_id) = (Upstream::now(), reason.into(), id.into());
            tally.remember(Fault { time, status, step, reason, request_id });
        }
    }
}

/// How a request ended, for a trace.
fn ended<'a>(request: &'a Request, served: Option<&'a Served>, outcome: &Outcome) -> Ended<'a> {
    Ended {
        version: request.version(),
        method: method_name(request.method()),
        rule: served.map(|served| served.rule.name()),
        status: outcome.response.status().as_u16(),
        failure: outcome.failure.as_ref().map(|failure| (failure.words(), failure.blame())),
        kept: outcome.calls.kept,
    }
}

/// Where a request came out: at a rule or at none.
struct Reached<'r> {
    set: &'r Set,
    served: Option<&'r Served>,
    peer: &'r Peer,
    /// The request's id.
    id: &'r str,
    /// Where its steps are noted, if that is wanted.
    trace: Option<&'r Trace>,
}

impl<'r> Reached<'r> {
    fn rule(&self) -> Option<&'r CompiledRule> {
        self.served.map(|served| &*served.rule)
    }

    /// The rule, if whoever asks may be told that there is one, before anything is known of them.
    fn shown(&self) -> Option<&'r CompiledRule> {
        let hides = self.set.access.as_ref().is_some_and(|access| access.hides);
        self.rule().filter(|_| !hides)
    }
}

/// What a line of the log tells of a request.
struct Told<'r> {
    request: &'r Request,
    id: &'r str,
    /// Only if the settings say so: it is personal data.
    client: Option<IpAddr>,
    /// What may leave a trace of it elsewhere.
    watched: Option<&'r Watched>,
}

/// One of so many places, until this is dropped, however that comes.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, places: usize) -> Option<Self> {
        let before = taken.fetch_add(1, Ordering::Relaxed);
        let place = Place(taken);
        (before < places).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a body to its end.
async fn receive(body: Incoming, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::RequestTooLarge),
        Err(_) => Err(Failure::Unreadable),
    }
}

/// Bounds how much anybody can have written to the log: so many lines in a second, for each worker. Of the rest the
/// metrics tell how many there were.
#[derive(Default)]
struct Chatter {
    second: AtomicU64,
    lines: AtomicU64,
}

/// Lines in a second.
const LINES: u64 = 20;

impl Chatter {
    fn may_tell(&self, now: Duration) -> bool {
        if self.second.swap(now.as_secs(), Ordering::Relaxed) != now.as_secs() {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < LINES
    }
}

/// Request ids: the caller's, or the next of our own.
struct Ids {
    prefix: String,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        // Ids need to differ between workers and restarts, not to be unguessable.
        use std::hash::{BuildHasher, RandomState};
        Ids { prefix: format!("{:016x}-", RandomState::new().hash_one(clock())), next: AtomicU64::new(1) }
    }

    /// A caller's id is taken over if it is short and plain, so that it cannot forge log lines.
    fn take(&self, given: Option<&HeaderValue>) -> HeaderValue {
        const MAX: usize = 128;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
        match given {
            Some(id) if !id.is_empty() && id.len() <= MAX && id.as_bytes().iter().all(plain) => id.clone(),
            _ => {
                let mut id = String::with_capacity(self.prefix.len() + 16);
                id.push_str(&self.prefix);
                // Writing to a string does not fail.
                let _ = write!(id, "{:x}", self.next.fetch_add(1, Ordering::Relaxed));
                HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::SocketAddr};

    use super::*;
    use crate::{
        config::Settings,
        core::{Compiler, Routes, problem::Source},
        gateway::{Secrets, Store, start},
    };

    #[test]
    fn a_scan_writes_few_lines() {
        let chatter = Chatter::default();
        for second in [0, 1, 5] {
            let told = (0..1000).filter(|step| chatter.may_tell(Duration::from_micros(second * 1_000_000 + step)));
            assert_eq!(told.count() as u64, LINES, "in second {second}");
        }
    }

    /// A fault of the program, for requests that ask for one.
    pub(super) fn stumble(request: &Request) {
        assert!(!request.headers().contains_key("x-stumble"), "a request asked for this");
    }

    fn ask(address: SocketAddr, head: &str) -> std::net::TcpStream {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket can be set up");
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("the connection is open");
        stream
    }

    #[test]
    fn a_panic_in_one_request_is_one_500() {
        let settings = Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), workers: 1, ..Settings::default() };
        let host = Upstream::new(&settings, Secrets::Placeholders, Store::new()).expect("a host can be made");
        let rule = "[call.user]\nurl = \"https://api.example/me\"\n[claims]\nsub = \"$.user.id\"\n";
        let compiler = Compiler::new::<Upstream>();
        let (rule, _) = compiler.compile("acme", &Source::new("acme.toml", rule), &serde_json::Map::new(), &host);
        let routes = Routes::new([("acme".to_owned(), rule.expect("it is sound"))]);
        let running = start(settings, &routes, &Secrets::Placeholders).expect("a free port can be bound");
        // The request after it comes over the same connection.
        let mut stream = ask(
            running.address(),
            "GET /acme HTTP/1.1\r\nhost: g\r\nx-stumble: 1\r\n\r\nGET /acme HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n",
        );
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("the connection is closed in the end");
        let (first, second) = answers.split_at(answers.rfind("HTTP/1.1 ").expect("there are answers"));
        assert!(first.starts_with("HTTP/1.1 500 ") && first.contains("server_error"), "{answers}");
        assert!(second.starts_with("HTTP/1.1 401 "), "{answers}");
        assert_eq!(running.shared.tally.panics.load(Ordering::Relaxed), 1);
        assert_eq!(running.shared.in_flight.load(Ordering::Relaxed), 0);
        running.stop();
    }
}
