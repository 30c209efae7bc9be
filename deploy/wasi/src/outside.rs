//! `wasi:http` and the environment, in the types of the core.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use claimsmith::core::{Answer, FetchError, Outgoing, Request, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use wasip2::{
    cli::{environment::get_environment, stderr::get_stderr},
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
            ResponseOutparam, Scheme,
        },
    },
    io::streams::{InputStream, StreamError},
};

use crate::{settings::Settings, visit::Visit};

/// Bytes that are read or written at once.
const PIECE: usize = 4096;
/// Headers that hosts keep for themselves, and make of what they see.
const HOP: [HeaderName; 4] = [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];

/// How a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// All of it.
    Whole,
    /// Its body is too large.
    TooLarge,
    /// Its body broke off, or it is none.
    Broken,
}

/// The environment of the component.
pub fn environment() -> HashMap<String, String> {
    get_environment().into_iter().collect()
}

/// The settings: the variable `CLAIMSMITH`, as JSON.
///
/// # Errors
/// A sentence that says what is wrong with them.
pub fn settings() -> Result<Settings, String> {
    match environment().get("CLAIMSMITH") {
        Some(text) => serde_json::from_str(text).map_err(|error| format!("the variable CLAIMSMITH: {error}")),
        None => Ok(Settings::default()),
    }
}

/// A line of the log, to standard error.
pub fn write_line(line: &str) {
    let err = get_stderr();
    for piece in format!("{line}\n").as_bytes().chunks(PIECE) {
        // A log that nobody reads is no reason to stop answering.
        let _ = err.blocking_write_and_flush(piece);
    }
}

/// The caller's id if it is short and plain, so that it cannot forge log lines; otherwise one by the clock.
pub fn request_id(request: &IncomingRequest) -> String {
    const MAX: usize = 128;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    let given = request.headers().get("x-request-id").into_iter().next().unwrap_or_default();
    match String::from_utf8(given) {
        Ok(id) if !id.is_empty() && id.len() <= MAX && id.as_bytes().iter().all(plain) => id,
        _ => {
            let now = wasip2::clocks::wall_clock::now();
            format!("{:x}-{:x}", now.seconds, now.nanoseconds)
        }
    }
}

/// A request in the types of the core; its body is read to its end, if it has a meaning.
pub fn receive(incoming: IncomingRequest, most: usize) -> (Arrived, Request) {
    let mut request = Request::default();
    let method = method_in(&incoming.method());
    let target = incoming.path_with_query().and_then(|path| Uri::try_from(path).ok());
    let (Some(method), Some(target)) = (method, target) else { return (Arrived::Broken, request) };
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers_in(&incoming.headers().entries());
    if request.method() != http::Method::POST {
        return (Arrived::Whole, request);
    }
    let body = incoming.consume().map_err(|()| Arrived::Broken).and_then(|body| {
        let stream = body.stream().map_err(|()| Arrived::Broken)?;
        drain(&stream, most)
    });
    match body {
        Ok(body) => {
            *request.body_mut() = body;
            (Arrived::Whole, request)
        }
        Err(fault) => (fault, request),
    }
}

fn drain(stream: &InputStream, most: usize) -> Result<Bytes, Arrived> {
    let mut whole = BytesMut::new();
    loop {
        match stream.blocking_read(PIECE as u64) {
            Ok(piece) if whole.len() + piece.len() > most => return Err(Arrived::TooLarge),
            Ok(piece) => whole.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(whole.freeze()),
            Err(StreamError::LastOperationFailed(_)) => return Err(Arrived::Broken),
        }
    }
}

/// Sends the answer.
pub fn send(response: &Response, out: ResponseOutparam) {
    let outgoing = OutgoingResponse::new(headers_out(response.headers()));
    // Codes are those of the core.
    let _ = outgoing.set_status_code(response.status().as_u16());
    let Ok(body) = outgoing.body() else { return };
    ResponseOutparam::set(out, Ok(outgoing));
    if write(&body, response.body()) {
        let _ = OutgoingBody::finish(body, None);
    }
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> bool {
    let Ok(stream) = body.write() else { return false };
    bytes.chunks(PIECE).all(|piece| stream.blocking_write_and_flush(piece).is_ok())
}

/// One exchange with an upstream. Redirects are not followed.
pub async fn exchange(visit: &Visit<'_>, outgoing: Outgoing, most: usize) -> Result<Answer, FetchError> {
    let broken = |why: &str| FetchError::Broken(why.into());
    let body = outgoing.body.clone();
    let request = request_out(&outgoing).ok_or_else(|| broken("the host does not take the request"))?;
    let sink = request.body().map_err(|()| broken("the host does not take the request"))?;
    let future = outgoing_handler::handle(request, None).map_err(|error| fault(&error))?;
    if !write(&sink, &body) || OutgoingBody::finish(sink, None).is_err() {
        return Err(broken("the request could not be sent"));
    }
    visit.ready(future.subscribe()).await;
    let response = match future.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(error))) => return Err(fault(&error)),
        _ => return Err(broken("the host gives no answer")),
    };
    let status = StatusCode::from_u16(response.status()).map_err(|_| broken("its status is none"))?;
    let headers = headers_in(&response.headers().entries());
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        // None was asked for.
        return Err(broken("its Content-Encoding is not known here"));
    }
    let body = response.consume().map_err(|()| broken("it has no body"))?;
    let bytes = collect(visit, &body, most).await?;
    Ok(Answer { status, headers, body: bytes })
}

async fn collect(visit: &Visit<'_>, body: &IncomingBody, most: usize) -> Result<Bytes, FetchError> {
    let broken = || FetchError::Broken("the connection was lost".into());
    let stream = body.stream().map_err(|()| broken())?;
    let mut whole = BytesMut::new();
    loop {
        match stream.read(16 * PIECE as u64) {
            Ok(piece) if piece.is_empty() => visit.ready(stream.subscribe()).await,
            Ok(piece) if whole.len() + piece.len() > most => return Err(FetchError::TooLarge(most)),
            Ok(piece) => whole.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(whole.freeze()),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken()),
        }
    }
}

fn request_out(outgoing: &Outgoing) -> Option<OutgoingRequest> {
    let url = &outgoing.url;
    let mut headers = outgoing.headers.clone();
    if !outgoing.body.is_empty() {
        headers.insert(header::CONTENT_LENGTH, outgoing.body.len().into());
    }
    let request = OutgoingRequest::new(headers_out(&headers));
    request.set_method(&method_out(&outgoing.method)).ok()?;
    request.set_scheme(Some(if url.scheme() == "https" { &Scheme::Https } else { &Scheme::Http })).ok()?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    request.set_authority(Some(authority)).ok()?;
    request.set_path_with_query(Some(&url[url::Position::BeforePath..url::Position::AfterQuery])).ok()?;
    Some(request)
}

/// Words of ours: a host's own may hold an address, and that a token.
fn fault(error: &ErrorCode) -> FetchError {
    match error {
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => {
            FetchError::Timeout
        }
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            FetchError::Connect("the name is not known".into())
        }
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            FetchError::Connect("TLS failed".into())
        }
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete | ErrorCode::HttpProtocolError => {
            FetchError::Broken("the connection was lost".into())
        }
        _ => FetchError::Connect("the host could not connect".into()),
    }
}

fn headers_in(entries: &[(String, Vec<u8>)]) -> HeaderMap {
    let sound = |(name, value): &(String, Vec<u8>)| {
        Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in entries.iter().filter_map(sound) {
        headers.append(name, value);
    }
    headers
}

fn headers_out(headers: &HeaderMap) -> Fields {
    let fields = Fields::new();
    for (name, value) in headers.iter().filter(|(name, _)| !HOP.contains(name)) {
        // What a host does not let through is its own.
        let _ = fields.append(name.as_str(), value.as_bytes());
    }
    fields
}

fn method_in(method: &Method) -> Option<http::Method> {
    Some(match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(name) => http::Method::from_bytes(name.as_bytes()).ok()?,
    })
}

fn method_out(method: &http::Method) -> Method {
    match method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    }
}
