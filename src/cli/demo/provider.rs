//! A provider with the manners of several real ones: a nested profile, an id that no float
//! holds, e-mails in a second endpoint, an API key besides the token, an error inside a 200.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The token that is good.
pub(super) const TOKEN: &str = "demo-token";
/// The token that the provider reports as revoked, with status 200.
pub(super) const REVOKED: &str = "revoked-token";
/// The key that every request needs.
pub(super) const API_KEY: &str = "demo-key";

const PROFILE: &str = r#"{"ok":true,"data":{"profile":{"uid":9007199254740993,"handle":"ada","names":{"first":"Ada","last":"Lovelace"},"images":[{"px":48,"url":"https://cdn.provider.example/ada-48.png"},{"px":256,"url":"https://cdn.provider.example/ada-256.png"}],"changed":"2026-10-02T18:04:11Z"}}}"#;
const EMAILS: &str = r#"[{"address":"ada@old.example","primary":false,"verified":"true"},{"address":"Ada@Engines.Example","primary":true,"verified":"true"}]"#;
const ERROR: &str = r#"{"ok":false,"error":"token_revoked"}"#;

/// Starts the provider on a free port of the loopback interface; it lives as long as the runtime.
#[expect(clippy::disallowed_methods, reason = "the provider is another server, and runs beside the gateway")]
pub(super) async fn start() -> Result<SocketAddr, String> {
    let fault = |error: std::io::Error| format!("cannot start the demo's provider: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let respond =
                    service_fn(|request: http::Request<Incoming>| async move { Ok::<_, Infallible>(answer(&request)) });
                // A client that goes away is none of the demo's business.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
            });
        }
    });
    Ok(address)
}

fn answer(request: &http::Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match (request.uri().path(), may(request.headers())) {
        (_, Err(status)) => (status, r#"{"ok":false,"error":"not_allowed"}"#),
        ("/v2/me", Ok(true)) => (StatusCode::OK, PROFILE),
        ("/v2/me/emails", Ok(true)) => (StatusCode::OK, EMAILS),
        ("/v2/me" | "/v2/me/emails", Ok(false)) => (StatusCode::OK, ERROR),
        _ => (StatusCode::NOT_FOUND, r#"{"ok":false,"error":"not_found"}"#),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// True for a good token, false for the revoked one.
fn may(headers: &HeaderMap) -> Result<bool, StatusCode> {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given.as_bytes() == value.as_bytes());
    if !is("x-api-key", API_KEY) {
        return Err(StatusCode::FORBIDDEN);
    }
    if is("authorization", &format!("Bearer {TOKEN}")) {
        Ok(true)
    } else if is("authorization", &format!("Bearer {REVOKED}")) {
        Ok(false)
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}
