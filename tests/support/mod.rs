//! What the tests share: a gateway on a free port, upstreams that do as they are told,
//! and a client.

mod authority;
mod gateway;
mod load;
mod memory;
mod random;
mod upstream;

use std::time::Duration;

pub use authority::{Authority, Clients, Pair};
pub use gateway::{Gateway, Setup};
pub use load::Load;
pub use memory::{alone, memory};
pub use random::Random;
pub use upstream::{Reply, Seen, Upstream, raw_upstream};

/// An answer as a client sees it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers of tests are ASCII"))
    }
}

/// Runs a test's future; nothing in a test may take longer than this.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    const LIMIT: Duration = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test ends in time") })
}

/// An HTTP client that follows nothing and uses no proxy.
pub fn client() -> reqwest::Client {
    // The second and later calls find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client can be made")
}

/// Sends a request and reads the whole answer.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the gateway answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.text().await.expect("the body is whole") }
}
