//! Where the process tells how it is: to an orchestrator, to Prometheus, and to people.
//!
//! It has an address, a thread and bounds of its own, so that it answers when the workers are busy, and can be kept
//! inside. Whether the process lives and is ready is told to everybody; the rest may ask for a key.

mod record;
mod traces;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Method, Response, StatusCode, header, uri::Authority};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use sha2::Sha256;
use tokio::{
    net::TcpStream,
    runtime::Builder,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};

use super::{
    Report, Running, Secrets, Shared, State, Store, Upstream,
    metrics::{self, Fault},
    play::Play,
};
use crate::{
    config::{self, Door, KeySource, Settings},
    core::{
        Host, Secret, SecretSource,
        problem::{Severity, as_json},
    },
};

/// Connections that are open at once; the next wait.
const MAX_CONNECTIONS: usize = 32;
/// The time for a head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a port that another process has is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often what has an end is looked at.
const SWEEP: Duration = Duration::from_secs(5);
/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(50);
/// A worker that has not shown itself for so long hangs.
const HANGS: Duration = Duration::from_secs(30);

/// The methods of pages that only tell, and of the one that does something.
const READ: [Method; 2] = [Method::GET, Method::HEAD];
const RECORD: [Method; 3] = [Method::GET, Method::POST, Method::DELETE];

/// An admin listener; it ends when this is dropped.
#[derive(Debug)]
pub struct Admin {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a request is answered from.
struct Desk {
    shared: Arc<Shared>,
    key: Option<Key>,
    play: Option<Play>,
}

/// The key, read anew for each request: it may be exchanged at any time, and requests are few.
struct Key {
    source: SecretSource,
    host: Upstream,
}

impl Admin {
    /// Tells about a server where its settings say; nowhere if they say `off`.
    ///
    /// # Errors
    /// When the address cannot be bound, though no other process has it, or the key cannot be read.
    pub fn start(running: &Running) -> Result<Option<Self>, String> {
        let shared = running.shared.clone();
        let Door::At(address) = shared.settings.admin.listen else { return Ok(None) };
        let key = shared.settings.admin.key.as_ref().map(|key| Key::new(key, &shared.settings)).transpose()?;
        if key.is_none() && shared.settings.admin.record && !address.ip().is_loopback() {
            return Err(format!("`admin.record` wants an `admin.key`: others than this machine reach {address}"));
        }
        let play = play(&shared.settings)?;
        if key.is_none() && !address.ip().is_loopback() {
            tracing::warn!(%address, "everybody who reaches this address can read metrics and rules: set `admin.key`");
        }
        let listener = match bind(address) {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(%address, "another process tells how it is here; this one will when that has ended");
                None
            }
            Err(error) => return Err(format!("cannot listen on {address} for `admin.listen` ({error})")),
        };
        let (stop, stopped) = oneshot::channel();
        let desk = Arc::new(Desk { shared, key, play });
        let thread = thread::Builder::new()
            .name("admin".into())
            .spawn(move || run(address, listener, desk, stopped))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Some(Admin { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was logged when it happened.
            let _ = thread.join();
        }
    }
}

/// The playground, if the settings ask for it. It is never there for everybody.
fn play(settings: &Settings) -> Result<Option<Play>, String> {
    match (&settings.admin.key, settings.admin.play) {
        (_, false) => Ok(None),
        (None, true) => Err("`admin.play` needs `admin.key`: whoever uses the playground is asked for it".into()),
        (Some(source), true) => {
            let key = Key::new(source, settings)?;
            Play::behind(settings, move |given| key.opens(given)).map(Some)
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The life of the thread.
fn run(address: SocketAddr, listener: Option<TcpListener>, desk: Arc<Desk>, stopped: oneshot::Receiver<()>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the admin listener cannot start"),
    };
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = listen(address, listener, desk) => {}
        }
    });
    runtime.shutdown_timeout(Duration::ZERO);
}

async fn listen(address: SocketAddr, listener: Option<TcpListener>, desk: Arc<Desk>) {
    let mut bound = listener;
    let listener = loop {
        match bound.take().map_or_else(|| bind(address), Ok).and_then(tokio::net::TcpListener::from_std) {
            Ok(listener) => break listener,
            Err(_) => sleep(AGAIN).await,
        }
    };
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "telling how it is");
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = timeout(SWEEP, listener.accept()).await;
        desk.shared.recordings.sweep();
        let Ok(accepted) = accepted else { continue };
        match accepted {
            Ok((stream, _)) => {
                let desk = desk.clone();
                spawn(async move {
                    let _place = place;
                    let _ = timeout(CONNECTION_TIMEOUT, serve(stream, desk)).await;
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let respond = service_fn(move |request: hyper::Request<Incoming>| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.respond(request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), respond).await {
        tracing::debug!(%error, "a connection to the admin listener ended early");
    }
}

#[expect(clippy::disallowed_methods, reason = "connections are the one thing that runs by itself")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}

impl Desk {
    async fn respond(&self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        match (&self.play, path.strip_prefix("/play")) {
            // What the page asks for is below this.
            (Some(_), Some("")) => moved("/play/"),
            (Some(play), Some(rest)) if rest.starts_with('/') => play.respond(&rest[1..], request).await,
            _ => self.answer(&request),
        }
    }

    fn answer(&self, request: &hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let methods = if path == "/record" { &RECORD[..] } else { &READ[..] };
        if !methods.contains(request.method()) {
            let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
            return text(StatusCode::METHOD_NOT_ALLOWED, &format!("here are allowed: {}", methods.join(", ")));
        }
        match path {
            "/livez" => return self.live(),
            "/readyz" => return self.ready(),
            _ => {}
        }
        if !self.key.as_ref().is_none_or(|key| key.opens(request.headers().get(header::AUTHORIZATION))) {
            let mut refused = text(StatusCode::UNAUTHORIZED, "the admin key is wanted, as a bearer token");
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return refused;
        }
        match path {
            "/record" | "/traces" if self.is_by_a_page(request) => {
                text(StatusCode::FORBIDDEN, "a page of the web has no business here; ask by address or as `localhost`")
            }
            "/record" => record::answer(&self.shared, request.method(), request.uri().query().unwrap_or_default()),
            "/traces" => traces::answer(&self.shared, request.headers(), request.uri().query().unwrap_or_default()),
            "/metrics" => page(StatusCode::OK, metrics::CONTENT_TYPE, metrics::page(&self.shared)),
            "/rules" => json(StatusCode::OK, &rules(&self.shared)),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics, /rules, /traces and /record"),
        }
    }

    /// Whether a page in somebody's browser may be behind a request: it says so, or had a name of its own lead here.
    /// A key that no browser sends by itself keeps pages out as well.
    fn is_by_a_page(&self, request: &hyper::Request<Incoming>) -> bool {
        let headers = request.headers();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let by_address = host.is_some_and(|host| {
            let host = host.host();
            host == "localhost" || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
        });
        headers.contains_key(header::ORIGIN) || (self.key.is_none() && !by_address)
    }

    /// While it stops, workers no longer show themselves.
    fn live(&self) -> Response<Full<Bytes>> {
        let hanging = self.shared.workers.iter().position(|worker| worker.unseen() > HANGS);
        match hanging.filter(|_| !self.shared.stopping.load(Ordering::Relaxed)) {
            None => text(StatusCode::OK, "live"),
            Some(number) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("worker-{number} hangs")),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        match self.shared.readiness() {
            Ok(()) => text(StatusCode::OK, "ready"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

impl Key {
    fn new(key: &KeySource, settings: &Settings) -> Result<Self, String> {
        let key = Key { source: source(key), host: Upstream::new(settings, Secrets::Real, Store::new())? };
        key.read()?;
        Ok(key)
    }

    fn read(&self) -> Result<Secret, String> {
        self.host.secret("admin.key", &self.source).map_err(|why| format!("cannot read `admin.key`: {why}"))
    }

    /// True for `Bearer` and the key.
    fn opens(&self, given: Option<&HeaderValue>) -> bool {
        let key = match self.read() {
            Ok(key) => key,
            Err(why) => {
                tracing::error!("{why}");
                return false;
            }
        };
        let given = given.map(HeaderValue::as_bytes).unwrap_or_default();
        let (scheme, given) = given.split_at_checked(7).unwrap_or_default();
        is_same(given, key.expose().as_bytes()) && scheme.eq_ignore_ascii_case(b"bearer ")
    }
}

/// Whether two texts are the same, in a time that tells nothing of either but its length.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mac = |text: &[u8]| -> Option<Hmac<Sha256>> { Some(Hmac::new_from_slice(b"compare").ok()?.chain_update(text)) };
    match (mac(a), mac(b)) {
        (Some(a), Some(b)) => a.verify(&b.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

/// The state of all rules and of loading, as JSON.
fn rules(shared: &Shared) -> Value {
    let told = shared.status.told().clone();
    let settings = serde_json::json!({
        "problem": told.settings,
        "need_restart": told.restart,
    });
    let rules: Vec<_> = told.reports.iter().map(|report| rule(report, &shared.tally.faults(&report.name))).collect();
    serde_json::json!({
        "exchanges": told.exchanges,
        "loaded": time(told.since),
        "folder": { "path": shared.workers.first().map(|worker| worker.set().settings.rules.clone()), "problem": told.folder },
        "settings": settings,
        "rules": rules,
    })
}

fn rule(report: &Report, faults: &[Fault]) -> Value {
    let serves = report.state != State::Refused;
    // Advice is for `check`.
    let problems = report.problems.iter().filter(|problem| problem.severity() > Severity::Advice);
    serde_json::json!({
        "name": report.name,
        "state": report.state.name(),
        "revision": serves.then_some(&report.revision),
        "since": time(report.since),
        "unreadable": report.unreadable,
        "problems": problems.map(as_json).collect::<Vec<_>>(),
        "errors": faults.iter().map(|fault| serde_json::json!({
            "time": time(fault.time),
            "status": fault.status,
            "step": fault.step,
            "reason": fault.reason,
            "request_id": fault.request_id,
        })).collect::<Vec<_>>(),
    })
}

/// A moment as RFC 3339 writes it.
pub(super) fn time(since_1970: Duration) -> String {
    let second = i64::try_from(since_1970.as_secs()).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    second.unwrap_or_default().to_string()
}

fn moved(place: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::PERMANENT_REDIRECT, place);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(place));
    response
}

fn text(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    page(status, "text/plain; charset=utf-8", format!("{words}\n"))
}

fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    page(status, "application/json", value.to_string())
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn source(key: &KeySource) -> SecretSource {
    match key {
        KeySource::Env(name) => SecretSource::Env(name.clone()),
        KeySource::File(path) => SecretSource::File(path.display().to_string()),
    }
}

/// The key of the admin listener, for who asks there; `None` if it wants none.
///
/// # Errors
/// When it cannot be read.
pub fn key(settings: &config::Admin, host: &Upstream) -> Result<Option<Secret>, String> {
    let key = settings.key.as_ref().map(|key| host.secret("admin.key", &source(key)));
    key.transpose().map_err(|why| format!("cannot read `admin.key`: {why}"))
}

/// Where a process with these settings can be asked how it is; `None` for nowhere.
pub fn address(settings: &config::Admin) -> Option<SocketAddr> {
    let Door::At(mut address) = settings.listen else { return None };
    // An address that stands for all is none to connect to.
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_only_if_they_are_equal() {
        assert!(is_same(b"key", b"key") && is_same(b"", b""));
        for (a, b) in [("key", "kez"), ("key", "ke"), ("", "key"), ("key ", "key")] {
            assert!(!is_same(a.as_bytes(), b.as_bytes()), "{a:?} {b:?}");
        }
    }

    #[test]
    fn an_address_for_all_is_asked_at_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9", Some("127.0.0.1:9")), ("[::]:9", Some("[::1]:9")), ("10.0.0.1:9", Some("10.0.0.1:9"))]
        {
            let listen = Door::At(listen.parse().expect("an address"));
            let found = address(&config::Admin { listen, ..config::Admin::default() });
            assert_eq!(found.map(|found| found.to_string()).as_deref(), asked);
        }
        assert_eq!(address(&config::Admin { listen: Door::Off, ..config::Admin::default() }), None);
    }
}
