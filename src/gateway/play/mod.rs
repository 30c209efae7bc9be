//! The playground: a page that shows a rule at work while it is written.
//!
//! `guard` says who may ask, `page` is what a browser gets, `folder` reads and saves rules, `live` makes a real login;
//! everything else that the page wants to know is asked of [`authoring`](crate::authoring), on the `bench`.
//! It has a listener of its own on the loopback interface, or stands behind that of the admin pages.

mod bench;
mod folder;
mod guard;
mod live;
mod page;

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::timeout};

use self::{bench::Bench, folder::Folder, guard::Guard, live::Live};
use super::{bytes_beside, clock};
use crate::{
    authoring::{Playground, Surroundings},
    config::Settings,
};

/// Bytes of a question: a rule, its cases, both as they are saved, and answers that are tried out.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// Connections that are open at once; the next wait.
const MAX_CONNECTIONS: usize = 32;
/// The time for a head, and for a body.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept: pages open another.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);

/// Nothing but what comes from here is loaded, run, shown or asked, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page may do.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Save rules to the folder.
    pub write: bool,
    /// Make real logins.
    pub live: bool,
    /// The rule to begin with.
    pub open: Option<String>,
}

/// A question for the bench: its name and its body.
type Question = (String, Bytes);

/// The playground.
pub struct Play {
    guard: Guard,
    folder: Folder,
    open: Option<String>,
    bench: Bench<Question>,
    live: Option<Bench<Bytes>>,
    /// Is told the key of the next session.
    told: Box<dyn Fn(&str) + Send + Sync>,
}

/// The part of a question by which its surroundings are known.
#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    name: String,
    rule: String,
    cases: String,
    mark: Option<String>,
}

impl Play {
    fn new(
        settings: &Settings,
        allowed: &Allowed,
        guard: Guard,
        told: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let folder = Folder { path: settings.rules.clone(), write: allowed.write };
        let around = settings.clone();
        let bench = Bench::start("playground", move || {
            let playground = Playground::new(clock);
            move |(question, body): Question| answer(&playground, &around, &question, &body)
        })?;
        let live = match allowed.live {
            true => {
                let live = Live::new(settings)?;
                Some(Bench::start("playground-live", move || move |body: Bytes| live.attempt(&body))?)
            }
            false => None,
        };
        Ok(Play { guard, folder, open: allowed.open.clone(), bench, live, told: Box::new(told) })
    }

    /// One that stands behind another door, whose key is asked for with each question. It saves nothing and makes no
    /// logins.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn behind(
        settings: &Settings,
        opens: impl Fn(Option<&HeaderValue>) -> bool + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let allowed = Allowed { write: false, live: false, open: None };
        Play::new(settings, &allowed, Guard::another(opens), |_| {})
    }

    /// Answers a request for `path`, which is below where the playground stands.
    pub(super) async fn respond(&self, path: &str, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let answered = match self.guard.of_this_place(&head.headers) {
            Err((status, words)) => Err((status, words.to_owned())),
            Ok(()) => match (&head.method, path.strip_prefix("api/")) {
                (&Method::POST, Some(question)) => self.question(question, &head.headers, body).await,
                (&Method::GET | &Method::HEAD, None) => Ok(self.file(path, &head.headers)),
                _ => Err((StatusCode::METHOD_NOT_ALLOWED, "the page is got, and questions are posted".to_owned())),
            },
        };
        let mut response = answered.unwrap_or_else(|(status, words)| document(status, &json!({ "error": words })));
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
            response.headers_mut().insert(name, HeaderValue::from_static("same-origin"));
        }
        response
    }

    fn file(&self, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let packed = accepts.split(',').any(|one| one.trim().split(';').next() == Some("gzip"));
        let Some((kind, bytes)) = page::file(path, packed) else {
            return document(StatusCode::NOT_FOUND, &json!({ "error": "there is no such page" }));
        };
        let mut response = Response::new(Full::from(bytes));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if packed {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    async fn question(
        &self,
        question: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Response<Full<Bytes>>, (StatusCode, String)> {
        let refused = |(status, words): guard::Refusal| (status, words.to_owned());
        if question == "session" {
            let (session, next) = self.guard.begin(headers).map_err(refused)?;
            if let Some(next) = next {
                (self.told)(&next);
            }
            let told = json!({
                "key": session,
                "write": self.folder.write,
                "live": self.live.is_some(),
                "open": self.open,
                "version": env!("CARGO_PKG_VERSION"),
            });
            return Ok(document(StatusCode::OK, &told));
        }
        self.guard.pass(headers).map_err(refused)?;
        let json =
            headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if !json {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "questions are JSON".into()));
        }
        let body = timeout(HEAD_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
        let body = body.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the question did not come to its end".into()))?;
        let large = (StatusCode::PAYLOAD_TOO_LARGE, format!("a question has at most {MAX_BODY} bytes"));
        let body = body.map_err(|_| large)?.to_bytes();
        let answer = match (question, &self.live) {
            ("rules", _) => Ok(self.folder.names()),
            ("open", _) => read::<Named>(&body).and_then(|named| self.folder.open(&named.name)),
            ("save", _) => read::<Saved>(&body)
                .and_then(|saved| self.folder.save(&saved.name, [&saved.rule, &saved.cases], saved.mark.as_deref())),
            ("live", Some(live)) => live.ask(body).await,
            ("live", None) => Err("no login is made: the playground was started without `--live`".into()),
            _ => self.bench.ask((question.to_owned(), body)).await,
        };
        Ok(match answer {
            Ok(answer) => document(StatusCode::OK, &answer),
            Err(words) => document(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": words })),
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // What was sent is not repeated: it may hold anything.
    serde_json::from_slice(body).map_err(|_| "the question is not understood".to_owned())
}

fn answer(playground: &Playground, settings: &Settings, question: &str, body: &[u8]) -> bench::Answer {
    let name = read::<Named>(body)?.name;
    let vars = settings.rule.get(&name).map(|rule| rule.vars.clone()).unwrap_or_default();
    let folder: PathBuf = settings.rules.clone();
    let around = Surroundings { files: &move |file: &str| bytes_beside(&folder, file), vars: &vars };
    // Nothing in it waits for anything but itself.
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    runtime.block_on(playground.ask(question, body, &around))
}

fn document(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A playground that listens.
pub struct Opened {
    address: SocketAddr,
    listener: TcpListener,
    play: Arc<Play>,
    key: String,
}

impl Opened {
    /// Binds a port of the loopback interface; 0 for a free one. `told` is given the address for each session after
    /// the first.
    ///
    /// # Errors
    /// When the port cannot be bound, or a thread cannot be started.
    pub fn new(
        settings: &Settings,
        allowed: &Allowed,
        port: u16,
        told: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("cannot listen on port {port} for the playground ({error})");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        let (guard, key) = Guard::own(hosts)?;
        let told = move |key: &str| told(&link(address, key));
        let play = Arc::new(Play::new(settings, allowed, guard, told)?);
        Ok(Opened { address, listener, play, key })
    }

    /// The address of the page, with the key for one session.
    pub fn link(&self) -> String {
        link(self.address, &self.key)
    }

    /// Answers until nobody waits for this any more.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub async fn serve(self) -> Result<(), String> {
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(|error| error.to_string())?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let play = self.play.clone();
            spawn(async move {
                let _place = place;
                let respond = service_fn(move |request: hyper::Request<Incoming>| {
                    let play = play.clone();
                    async move {
                        let path = request.uri().path().trim_start_matches('/').to_owned();
                        Ok::<_, Infallible>(play.respond(&path, request).await)
                    }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                // A page that goes away is no fault.
                let _ = timeout(CONNECTION_TIMEOUT, server.serve_connection(TokioIo::new(stream), respond)).await;
            });
        }
    }
}

/// What stands behind the `#` is sent by no browser, so it is in no log and no `Referer`.
fn link(address: SocketAddr, key: &str) -> String {
    format!("http://{address}/#{key}")
}

#[expect(clippy::disallowed_methods, reason = "connections are the one thing that runs by itself")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}
