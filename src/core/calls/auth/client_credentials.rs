//! `client_credentials`: a token of our own (RFC 6749, section 4.4), which all requests share.
//!
//! It is fetched when the first request wants it, kept by the host for most of its lifetime, and fetched by one
//! for all who wait. When the API refuses it, it is exchanged once: of all the requests that are refused within
//! a few seconds only one takes it away, so that a wrong credential does not make a storm of requests.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::core::{
    calls::{
        Round,
        compile::{Compiler, USER_AGENT},
        retry::retry_after,
    },
    host::Host,
    identity::Identity,
    message::{Answer, FetchError, Outgoing, Secret},
    rule::{ClientCredentials, Style, Text},
    store::{Entry, Key, Stored},
    token::{client_credentials, credentials},
    trace::Stage,
    value::{Position, Spot, endpoint},
};

/// How long a token is used whose endpoint does not say it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// The longest that a token is used, whatever its endpoint says.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A token is given up so long before its end that it does not expire on its way; at most a quarter of its lifetime.
const MARGIN: Duration = Duration::from_secs(30);
/// A token that was refused is not exchanged again for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a token; servers do not take longer headers.
const MAX_TOKEN: usize = 16 * 1024;
/// Bytes of an answer that holds one.
const MAX_ANSWER: usize = 64 * 1024;

/// Where a token of ours comes from.
pub(in crate::core::calls) struct OwnToken {
    /// The same every time.
    request: Outgoing,
    key: Key,
    /// The mark that the token was exchanged of late.
    exchanged: Key,
}

/// Why there is no token of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The endpoint refused our credentials or the request; the error code, if it is one that is known.
    Refused(StatusCode, Option<&'static str>),
    /// It wants fewer requests. After so many seconds, if it says.
    RateLimited(Option<u64>),
    /// Another status than that of a token.
    Status(StatusCode),
    /// No complete answer.
    Fetch(FetchError),
    /// An answer that holds no token that can be used.
    Answer(&'static str),
}

impl Compiler<'_> {
    /// Puts the request for a token together: it is the same every time.
    pub(super) fn own_token(
        &mut self,
        written: &ClientCredentials,
        identity: Option<Arc<Identity>>,
        timeout: Option<Duration>,
    ) -> Option<OwnToken> {
        let url = self.token_url(&written.token_url);
        let mut field =
            |text: &Text, name: &str| self.fixed(text, Position::Raw, &format!("`auth.client_credentials.{name}`"));
        let id = field(&written.client_id, "client_id");
        let mut sound = true;
        let mut optional = |text: &Option<Text>, name: &str| {
            let value = text.as_ref().map(|text| field(text, name));
            sound &= !matches!(value, Some(None));
            value.flatten()
        };
        let secret = optional(&written.client_secret, "client_secret");
        let scope = optional(&written.scope, "scope");
        let audience = optional(&written.audience, "audience");
        let resource = optional(&written.resource, "resource");
        let (url, id) = (url?, id?);
        if !sound {
            return None;
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", scope), ("audience", audience), ("resource", resource)] {
            form.extend_pairs(value.map(|value| (name, value)));
        }
        match (&secret, written.style) {
            (Some(secret), Style::Basic) => {
                headers.insert(header::AUTHORIZATION, client_credentials(&id, secret)?);
            }
            (Some(secret), Style::Post) => {
                form.append_pair("client_id", &id).append_pair("client_secret", secret);
            }
            // Our certificate is the proof (RFC 8705, section 2).
            (None, _) => {
                form.append_pair("client_id", &id);
            }
        }
        let body = Bytes::from(form.finish());
        Some(OwnToken::new(Outgoing { method: Method::POST, url, headers, body, timeout, identity, number: 0 }))
    }

    fn token_url(&mut self, text: &Text) -> Option<Url> {
        let spot = Spot::text(self.source, text);
        let what = "`auth.client_credentials.token_url`";
        let help = "write `https://host/path`, as the provider's documentation has it";
        endpoint(&spot, &text.value, what, help, self.known, self.problems)
    }
}

impl OwnToken {
    /// Kept under a name of everything that is sent and shown for it.
    fn new(request: Outgoing) -> Self {
        let proof = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let body = String::from_utf8_lossy(&request.body);
        let (certificate, key) = request.identity.as_ref().map_or(("", ""), |own| (own.certificate(), own.key()));
        let parts = [request.url.as_str(), proof.unwrap_or_default(), &body, certificate, key];
        let (key, exchanged) = (Key::new("own token", &parts), Key::new("own token exchanged", &parts));
        OwnToken { request, key, exchanged }
    }

    /// Its name among others: another one for other credentials.
    pub(in crate::core::calls) fn name(&self) -> &Key {
        &self.key
    }

    /// Where it comes from.
    pub(in crate::core::calls) fn endpoint(&self) -> &Url {
        &self.request.url
    }

    /// The token that is kept, or a new one.
    pub(in crate::core::calls) async fn get<H: Host>(
        &self,
        call: &str,
        round: &Round<'_, H>,
    ) -> Result<Entry, TokenFault> {
        let entry = round.host.shared(&self.key, self.fetch(call, round)).await?;
        if let (Some(trace), Stored::AccessToken(token)) = (round.trace, &entry.value) {
            trace.hide("our own token", token.expose());
        }
        Ok(entry)
    }

    /// Another token than the one that was refused; `None` if that one was exchanged of late, and is the new one.
    pub(in crate::core::calls) async fn exchange<H: Host>(
        &self,
        call: &str,
        round: &Round<'_, H>,
        refused: &Entry,
    ) -> Result<Option<Entry>, TokenFault> {
        let once = async {
            round.host.forget(&self.key, refused).await;
            Ok::<_, Infallible>(Entry { value: Stored::Done, lifetime: PATIENCE })
        };
        let Ok(_) = round.host.shared(&self.exchanged, once).await;
        let entry = self.get(call, round).await?;
        Ok((entry.value != refused.value).then_some(entry))
    }

    async fn fetch<H: Host>(&self, call: &str, round: &Round<'_, H>) -> Result<Entry, TokenFault> {
        let answer = round.host.fetch(self.request.clone()).await.map_err(TokenFault::Fetch)?;
        let entry = read(&answer)?;
        if let Some(trace) = round.trace {
            let words = format!("a token of our own was fetched, for {} s", entry.lifetime.as_secs());
            trace.note(Stage::Call(call.to_owned()), words);
        }
        Ok(entry)
    }
}

impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request holds our secret.
        f.write_str("OwnToken")
    }
}

/// The header that a token of ours stands in.
pub(in crate::core::calls) fn bearer(entry: &Entry) -> Option<HeaderValue> {
    match &entry.value {
        Stored::AccessToken(token) => credentials("Bearer", token.expose()),
        _ => None,
    }
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

/// The error codes that are told: RFC 6749, section 5.2, and RFC 8707, section 2.
const ERRORS: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
];

fn read(answer: &Answer) -> Result<Entry, TokenFault> {
    if answer.body.len() > MAX_ANSWER {
        return Err(TokenFault::Answer("it is too large"));
    }
    match answer.status {
        status if status.is_success() => {}
        StatusCode::TOO_MANY_REQUESTS => return Err(TokenFault::RateLimited(retry_after(answer))),
        status if status.is_client_error() => return Err(TokenFault::Refused(status, error_code(&answer.body))),
        status => return Err(TokenFault::Status(status)),
    }
    let granted: Granted =
        serde_json::from_slice(&answer.body).map_err(|_| TokenFault::Answer("it has no `access_token`"))?;
    let token = granted.access_token;
    if granted.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenFault::Answer("its `token_type` is not `Bearer`"));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenFault::Answer("its `access_token` is not a token"));
    }
    if token.len() > MAX_TOKEN {
        return Err(TokenFault::Answer("its `access_token` is too long"));
    }
    Ok(Entry { value: Stored::AccessToken(Secret::new(token)), lifetime: lifetime(granted.expires_in.as_ref()) })
}

fn error_code(body: &[u8]) -> Option<&'static str> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = body.get("error")?.as_str()?;
    ERRORS.into_iter().find(|known| *known == code)
}

/// How long a token is used. Some endpoints send the number as text.
fn lifetime(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(seconds) = seconds.filter(|seconds: &f64| seconds.is_finite()) else { return DEFAULT_LIFETIME };
    let whole = Duration::from_secs_f64(seconds.clamp(0.0, MAX_LIFETIME.as_secs_f64()));
    whole - MARGIN.min(whole / 4)
}

impl TokenFault {
    /// What happened, for logs and traces: nothing that the endpoint wrote.
    pub fn words(&self) -> String {
        match self {
            TokenFault::Refused(status, Some(code)) => {
                format!("the token endpoint refused our credentials ({}, {code})", status.as_u16())
            }
            TokenFault::Refused(status, None) => {
                format!("the token endpoint refused our credentials ({})", status.as_u16())
            }
            TokenFault::RateLimited(_) => "the token endpoint wants fewer requests (429)".into(),
            TokenFault::Status(status) => format!("the token endpoint answered {}", status.as_u16()),
            TokenFault::Fetch(error) => format!("the token endpoint: {}", error.words()),
            TokenFault::Answer(why) => format!("the answer of the token endpoint cannot be used: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: impl Into<String>) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: HeaderMap::new(), body: Bytes::from(body.into()) }
    }

    #[test]
    fn a_token_lives_somewhat_shorter_than_its_endpoint_says() {
        for (expires_in, seconds) in [
            ("3600", 3570.0),
            ("\"3600\"", 3570.0),
            ("60", 45.0),
            ("2", 1.5),
            ("0", 0.0),
            ("-5", 0.0),
            ("1e300", 24.0 * 3600.0 - 30.0),
            ("99999999999999999999999", 24.0 * 3600.0 - 30.0),
            ("null", 300.0),
            ("\"soon\"", 300.0),
            ("\"inf\"", 300.0),
            ("[]", 300.0),
        ] {
            let text = format!(r#"{{"access_token":"t","token_type":"BEARER","expires_in":{expires_in}}}"#);
            let entry = read(&answer(200, text)).expect("it is a token");
            assert_eq!(entry.lifetime.as_secs_f64(), seconds, "{expires_in}");
            assert_eq!(entry.value, Stored::AccessToken(Secret::new("t")));
        }
        let entry = read(&answer(200, r#"{"access_token":"t"}"#)).expect("it is a token");
        assert_eq!(entry.lifetime, DEFAULT_LIFETIME);
    }

    #[test]
    fn what_is_no_token_is_told_without_a_word_of_it() {
        let long = "x".repeat(MAX_TOKEN + 1);
        let spacious = format!("{}{{\"access_token\":\"t\"}}", " ".repeat(MAX_ANSWER));
        for (status, body, expected) in [
            (200, "", "it has no `access_token`"),
            (200, "<html>m4rk</html>", "it has no `access_token`"),
            (200, r#"{"token":"m4rk"}"#, "it has no `access_token`"),
            (200, r#"{"access_token":5}"#, "it has no `access_token`"),
            (200, r#"{"access_token":""}"#, "is not a token"),
            (200, r#"{"access_token":"m4rk m4rk"}"#, "is not a token"),
            (200, "{\"access_token\":\"m4rk\\r\\nx: y\"}", "is not a token"),
            (200, r#"{"access_token":"m4rk","token_type":"m4rk"}"#, "is not `Bearer`"),
            (200, r#"{"access_token":"m4rk","token_type":"DPoP"}"#, "is not `Bearer`"),
            (200, &format!("{{\"access_token\":\"{long}\"}}"), "is too long"),
            (200, &spacious, "it is too large"),
            (400, r#"{"error":"invalid_client"}"#, "refused our credentials (400, invalid_client)"),
            (401, r#"{"error":"m4rk"}"#, "refused our credentials (401)"),
            (401, "m4rk", "refused our credentials (401)"),
            (429, "m4rk", "wants fewer requests"),
            (302, "m4rk", "answered 302"),
            (500, r#"{"error":"invalid_client"}"#, "answered 500"),
        ] {
            let words = read(&answer(status, body)).expect_err("it is no token").words();
            assert!(words.contains(expected) && !words.contains("m4rk"), "{words}");
        }
    }
}
