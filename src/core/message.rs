//! Requests and answers as plain data, in the types of the `http` crate.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::identity::Identity;
pub use super::secret::Secret;

/// What reached us from an auth server: the body is read whole, and bounded, by the host.
pub type Request = http::Request<Bytes>;

/// What we answer.
pub type Response = http::Response<Bytes>;

/// The name of a method, as a log may tell it: of those that there are (RFC 9110, section 9.1, and RFC 5789). Others may be
/// anything, also a token in the wrong place.
pub fn method_name(method: &Method) -> &str {
    const STANDARD: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    if STANDARD.contains(method) { method.as_str() } else { "-" }
}

/// One request to an upstream.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The whole address. Its origin was fixed when the rule was loaded.
    pub url: Url,
    /// All headers; values that hold credentials are marked sensitive.
    pub headers: HeaderMap,
    /// The body, empty for none.
    pub body: Bytes,
    /// The limit of this call; without one the host's own limit holds.
    pub timeout: Option<Duration>,
    /// Who we show to be when the connection is made; nobody without.
    pub identity: Option<Arc<Identity>>,
    /// Which request of the trace it is sent for; 0 for none, and where nobody looks on.
    pub number: usize,
}

/// An upstream's answer, whatever its status.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, decompressed.
    pub body: Bytes,
}

/// Why there is no answer from an upstream.
///
/// The texts are for logs: they name what failed, never a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The call's limit or the request's deadline was spent.
    Timeout,
    /// No connection: refused, unknown host, TLS failure.
    Connect(String),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The upstream refused our certificate, or wants one.
    Refused(String),
    /// The connection broke before the answer was complete, or it was not HTTP.
    Broken(String),
    /// Nothing was sent.
    Spared(Spare),
    /// The host does not let us go there: why, and by which setting it would.
    Barred(String),
}

/// Why an upstream is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spare {
    /// It failed several times in a row, and is tried again in a while.
    Resting,
    /// It wants no requests of this caller for so many seconds.
    Limited(u64),
    /// As many requests as it may get are on their way.
    Busy,
}

impl FetchError {
    /// What happened, for logs and traces.
    pub fn words(&self) -> String {
        match self {
            FetchError::Timeout => "no answer in time".into(),
            FetchError::Connect(why) => format!("no connection: {why}"),
            FetchError::TooLarge(limit) => format!("the answer has more than {limit} bytes"),
            FetchError::Refused(why) => format!("our certificate was refused: {why}"),
            FetchError::Broken(why) => format!("the answer broke off: {why}"),
            FetchError::Spared(Spare::Resting) => {
                "it failed several times in a row, and is left alone for a while".into()
            }
            FetchError::Spared(Spare::Limited(seconds)) => format!("it wants no requests for {seconds} s"),
            FetchError::Barred(why) => format!("not reached: {why}"),
            FetchError::Spared(Spare::Busy) => "as many requests as it may get are on their way".into(),
        }
    }
}
