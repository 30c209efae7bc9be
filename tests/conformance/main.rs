//! Holds a host elsewhere to the cases of rules: each is sent to it over a socket, what it asks of providers comes back
//! over another one and gets the recorded answers, and its answer is compared as `claimsmith test` compares.
//!
//! The host has to be one that plays along: it asks here, at `/case/N`, for rule, vars, secrets and time of the case that
//! the header `x-case` names, and sends what it would send to `URL` to `/of/N/URL` (`tests/edge/conformance.mjs` does).

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test reads files and arguments, and fails by panicking"
)]

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use claimsmith::core::{
    Cases, Elsewhere, Fault, FetchError, Outgoing, Platform, Response, SecretSource, ingredients,
    problem::{Severity, Source},
    unfit,
};
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// How long a host may take for a case; the deadline that it is told is much shorter.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long answers are held back so that calls that start together are all asked.
const HOLD: Duration = Duration::from_millis(300);
/// The share of cases that a host must be able to do, in percent.
const LEAST: usize = 95;

/// The case that is being played. The host is sent one at a time.
struct Playing {
    number: usize,
    elsewhere: Elsewhere<'static>,
    hold: Duration,
    /// What the host is told of it.
    told: Value,
}

type Stage = Rc<RefCell<Option<Rc<Playing>>>>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [platform, at, stage, folders @ ..] = arguments.as_slice() else {
        panic!("conformance PLATFORM HOST:PORT STAGE-PORT FOLDER…");
    };
    let platform = Platform::parse(platform).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = stage.parse().expect("the stage is a port");
    let counts = tokio::task::LocalSet::new().block_on(&runtime, play(platform, at, port, folders));
    let Counts { all, admitted, passed } = counts;
    println!("{}: {all} cases, {admitted} admitted, {passed} passed", platform.name());
    let enough = all > 0 && admitted * 100 >= all * LEAST;
    if passed == admitted && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Counts {
    all: usize,
    admitted: usize,
    passed: usize,
}

async fn play(platform: Platform, at: &str, port: u16, folders: &[String]) -> Counts {
    let stage = Stage::default();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port of the stage is free");
    tokio::task::spawn_local(serve(listener, stage.clone()));
    let mut counts = Counts::default();
    for path in folders.iter().flat_map(|folder| rules(Path::new(folder))) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let rule = read(&path);
        let cases = path.with_extension("test.toml");
        if !cases.is_file() {
            continue;
        }
        let (cases, problems) = Cases::read(&read(&cases));
        assert!(problems.is_empty(), "{problems:?}");
        // For as long as the program runs: a few megabytes.
        let cases: &'static Cases = Box::leak(Box::new(cases));
        let unfit: Vec<_> =
            unfit(&rule, platform).into_iter().filter(|problem| problem.severity() == Severity::Error).collect();
        counts.all += cases.len();
        if let Some(problem) = unfit.first() {
            println!("not admitted: {name}: {}", problem.message);
            continue;
        }
        counts.admitted += cases.len();
        for number in 0..cases.len() {
            let case = Case { cases, number, name: &name, rule: &rule, path: &path };
            let mut verdict = run(at, &stage, &case, Duration::ZERO).await;
            // A call that failed ends those that were sent with it; some of them may not have come that far.
            if matches!(&verdict, Err(Failed { only_unasked: true, .. })) {
                verdict = run(at, &stage, &case, HOLD).await;
            }
            match verdict {
                Ok(()) => counts.passed += 1,
                Err(Failed { why, .. }) => {
                    println!("FAILED {name}: {}: {why}", cases.names().nth(number).unwrap_or_default());
                }
            }
        }
    }
    counts
}

/// One case of a rule.
struct Case<'a> {
    cases: &'static Cases,
    number: usize,
    name: &'a str,
    rule: &'a Arc<Source>,
    path: &'a Path,
}

/// Why a case failed.
struct Failed {
    why: String,
    /// Nothing is wrong but that some answers were not asked for.
    only_unasked: bool,
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Failed { why, only_unasked: false }
    }
}

impl From<&str> for Failed {
    fn from(why: &str) -> Self {
        Failed::from(why.to_owned())
    }
}

async fn run(at: &str, stage: &Stage, case: &Case<'_>, hold: Duration) -> Result<(), Failed> {
    let Case { cases, number, name, rule, path } = *case;
    let folder = path.parent().unwrap().to_owned();
    let beside = move |file: &str| fs::read(folder.join(file)).map_err(|error: io::Error| error.to_string());
    let files: &'static (dyn Fn(&str) -> Result<Vec<u8>, String> + Sync) = Box::leak(Box::new(beside));
    let elsewhere = cases.elsewhere(number, (name, rule), files)?;
    let request = elsewhere.request.clone();
    let told = tell(&elsewhere, name, rule, files);
    let playing = Rc::new(Playing { number, elsewhere, hold, told });
    *stage.borrow_mut() = Some(playing.clone());
    let response =
        tokio::time::timeout(PATIENCE, ask(at, number, request)).await.map_err(|_| "no answer in time")??;
    stage.borrow_mut().take();
    // A request that the host gave up may still hold it for a moment.
    let playing = loop {
        if Rc::strong_count(&playing) == 1 {
            break Rc::into_inner(playing).ok_or("the case is still being played")?;
        }
        tokio::task::yield_now().await;
    };
    let verdict = playing.elsewhere.verdict(&response);
    if verdict.passed() {
        return Ok(());
    }
    let differ = verdict.differences.iter().map(|of| format!("{}: {:?}, not {:?}", of.claim, of.found, of.expected));
    let faults = verdict.faults.iter().map(Fault::words);
    let only_unasked =
        verdict.differences.is_empty() && verdict.faults.iter().all(|fault| matches!(fault, Fault::Unused { .. }));
    Err(Failed { why: differ.chain(faults).collect::<Vec<_>>().join("; "), only_unasked })
}

/// What the host is told of a case.
fn tell(
    elsewhere: &Elsewhere<'_>,
    name: &str,
    rule: &Arc<Source>,
    files: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Value {
    let parts = ingredients(rule);
    let secrets = parts.secrets.iter().filter_map(|(secret, source)| match source {
        SecretSource::Env(variable) => Some((variable.clone(), Value::from(elsewhere.secret(secret)))),
        SecretSource::File(_) => None,
    });
    let scripts = parts.script.iter().filter_map(|file| {
        let text = String::from_utf8(files(file).ok()?).ok()?;
        Some((file.clone(), Value::from(text)))
    });
    json!({
        "bundle": { "rules": { name: rule.text }, "scripts": scripts.collect::<Map<_, _>>() },
        "bindings": secrets.collect::<Map<_, _>>(),
        "settings": { "deadline": "2s", "rule": { name: { "vars": elsewhere.vars() } } },
        "now": elsewhere.now().as_secs(),
    })
}

/// The host's answer to the request of a case.
async fn ask(at: &str, number: usize, request: claimsmith::core::Request) -> Result<Response, String> {
    let fault = |error: &dyn std::fmt::Display| format!("the host cannot be asked: {error}");
    let stream = TcpStream::connect(at).await.map_err(|error| fault(&error))?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(|error| fault(&error))?;
    let driver = tokio::task::spawn_local(connection);
    let (mut head, body) = request.into_parts();
    head.headers.insert("host", at.parse().map_err(|error| fault(&error))?);
    head.headers.insert("x-case", number.into());
    let response =
        sender.send_request(http::Request::from_parts(head, Full::new(body))).await.map_err(|error| fault(&error))?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| fault(&error))?.to_bytes();
    driver.abort();
    Ok(Response::from_parts(head, body))
}

/// Answers what the host asks.
async fn serve(listener: TcpListener, stage: Stage) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let stage = stage.clone();
        let service = service_fn(move |request| {
            let stage = stage.clone();
            async move { reply(request, stage).await }
        });
        tokio::task::spawn_local(server::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// A connection that is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the case wants the connection to break")
    }
}

impl std::error::Error for Closed {}

async fn reply(request: http::Request<Incoming>, stage: Stage) -> Result<http::Response<Full<Bytes>>, Closed> {
    let path = request.uri().path().to_owned();
    let Some(playing) = stage.borrow().clone() else { return Ok(empty(StatusCode::GONE)) };
    let number = playing.number.to_string();
    if path.strip_prefix("/case/") == Some(&number) {
        return Ok(http::Response::new(Full::from(playing.told.to_string())));
    }
    let url = path.strip_prefix("/of/").and_then(|rest| rest.strip_prefix(&number)?.strip_prefix('/'));
    let url = url.map(|url| percent_encoding::percent_decode_str(url).decode_utf8_lossy().into_owned());
    let Some(url) = url.and_then(|url| Url::parse(&url).ok()) else { return Ok(empty(StatusCode::NOT_FOUND)) };
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let outgoing =
        Outgoing { method: head.method, url, headers: head.headers, body, timeout: None, identity: None, number: 0 };
    let answer = playing.elsewhere.fetch(outgoing).await;
    let hold = playing.hold;
    drop(playing);
    if !hold.is_zero() {
        tokio::time::sleep(hold).await;
    }
    match answer {
        Ok(answer) => {
            let mut response = http::Response::new(Full::new(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        }
        Err(FetchError::Timeout) => std::future::pending().await,
        Err(_) => Err(Closed),
    }
}

fn empty(status: StatusCode) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn rules(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".toml") && !name.ends_with(".test.toml") && !name.starts_with('.')
    });
    files.sort();
    files
}

fn read(path: &Path) -> Arc<Source> {
    Source::new(path.display().to_string(), fs::read_to_string(path).unwrap())
}
