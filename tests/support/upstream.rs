//! Upstreams that do as they are told.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// A request that an upstream got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query, as they stood on the request line.
    pub target: String,
    /// Whom the request names: host and port.
    pub authority: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    /// The certificate that the client showed.
    pub peer: Option<CertificateDer<'static>>,
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

/// An HTTP server on a free port of the loopback interface, which remembers what it was asked.
pub struct Upstream {
    /// `http://127.0.0.1:PORT`, or `https:`.
    pub origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
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
        Upstream::start(None, answer)
    }

    /// The same over TLS, also by HTTP/2.
    pub fn secure<F>(mut tls: ServerConfig, answer: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Upstream::start(Some(TlsAcceptor::from(Arc::new(tls))), answer)
    }

    fn start<F>(tls: Option<TlsAcceptor>, answer: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        listener.set_nonblocking(true).expect("a socket can be set up");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{}", listener.local_addr().expect("a bound socket has an address"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (answer, noted, counted) = (Arc::new(answer), seen.clone(), connections.clone());
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket can be taken over");
                tokio::select! {
                    () = accept(listener, tls, answer, noted, counted) => {}
                    _ = stopped => {}
                }
            });
        });
        Upstream { origin, seen, connections, _stop: stop }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn accept<A, F>(
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Arc<A>,
    noted: Arc<Mutex<Vec<Seen>>>,
    counted: Arc<AtomicUsize>,
) where
    A: Fn(Seen) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        counted.fetch_add(1, Ordering::SeqCst);
        let (tls, answer, noted) = (tls.clone(), answer.clone(), noted.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else { return serve(stream, None, answer, noted).await };
            // A handshake that fails is what some tests are about.
            if let Ok(stream) = tls.accept(stream).await {
                let chain = stream.get_ref().1.peer_certificates();
                let peer = chain.and_then(|chain| chain.first()).map(|own| own.clone().into_owned());
                serve(stream, peer, answer, noted).await;
            }
        });
    }
}

async fn serve<A, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<CertificateDer<'static>>,
    answer: Arc<A>,
    noted: Arc<Mutex<Vec<Seen>>>,
) where
    A: Fn(Seen) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let respond = service_fn(|request: http::Request<Incoming>| {
        let (peer, answer, noted) = (peer.clone(), answer.clone(), noted.clone());
        async move { Ok::<_, Infallible>(respond(request, peer, &*answer, &noted).await) }
    });
    // A gateway that goes away is what some tests are about.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), respond).await;
}

async fn respond<F: Future<Output = Reply>>(
    request: http::Request<Incoming>,
    peer: Option<CertificateDer<'static>>,
    answer: &impl Fn(Seen) -> F,
    noted: &Mutex<Vec<Seen>>,
) -> http::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // Over HTTP/2 the URI has the origin in front.
    let target = head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string);
    let host = || head.headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let authority = head.uri.authority().map(ToString::to_string).or_else(host).unwrap_or_default();
    let seen = Seen { method: head.method.to_string(), target, authority, headers: head.headers, body, peer };
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
