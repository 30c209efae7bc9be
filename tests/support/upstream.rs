//! Upstreams that do as they are told.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

/// A request that an upstream got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query, as they stood on the request line.
    pub target: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Seen {
    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers of tests are ASCII"))
    }
}

/// What an upstream answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// 200 with a JSON text.
    pub fn json(body: impl Into<String>) -> Self {
        Reply::new(200, body.into())
    }

    /// A status with a text that is called JSON.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Reply { status, headers: vec![("content-type", "application/json".into())], body: body.into() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// An HTTP/1.1 server on a free port of the loopback interface, which remembers what it was asked.
pub struct Upstream {
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    // The server stops when this is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Upstream {
    /// Answers with what the function makes of a request.
    pub fn new(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Upstream::slow(move |seen| {
            let reply = answer(&seen);
            async move { reply }
        })
    }

    /// The same for answers that take their time.
    pub fn slow<F>(answer: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        listener.set_nonblocking(true).expect("a socket can be set up");
        let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (answer, noted) = (Arc::new(answer), seen.clone());
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket can be taken over");
                tokio::select! {
                    () = accept(listener, answer, noted) => {}
                    _ = stopped => {}
                }
            });
        });
        Upstream { origin, seen, _stop: stop }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }
}

async fn accept<A, F>(listener: tokio::net::TcpListener, answer: Arc<A>, noted: Arc<Mutex<Vec<Seen>>>)
where
    A: Fn(Seen) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, noted) = (answer.clone(), noted.clone());
        tokio::spawn(async move {
            let respond = service_fn(|request: http::Request<Incoming>| {
                let (answer, noted) = (answer.clone(), noted.clone());
                async move { Ok::<_, Infallible>(respond(request, &*answer, &noted).await) }
            });
            // A gateway that goes away is what some tests are about.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
        });
    }
}

async fn respond<F: Future<Output = Reply>>(
    request: http::Request<Incoming>,
    answer: &impl Fn(Seen) -> F,
    noted: &Mutex<Vec<Seen>>,
) -> http::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let seen = Seen { method: head.method.to_string(), target: head.uri.to_string(), headers: head.headers, body };
    noted.lock().expect("no test panics while it holds this").push(seen.clone());
    let reply = answer(seen).await;
    let mut response = http::Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::from(reply.body)).expect("replies of tests are sound")
}

/// An upstream below HTTP: it reads the head of a request, writes these bytes, and closes.
pub fn raw_upstream(bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => head.extend_from_slice(&piece[..length]),
                }
            }
            // The gateway may have given up already.
            let _ = stream.write_all(&bytes);
        }
    });
    origin
}
