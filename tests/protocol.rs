//! Connections: HTTP/1.1 and HTTP/2, plain and over TLS, and clients that do not speak HTTP at all.

#![expect(clippy::disallowed_methods, reason = "tests make the files that the gateway reads, and bound their waiting")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{Arc, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use claimsmith::config::{ClientAuth, Tls};
use http::Version;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::support::{Gateway, Reply, Setup, Upstream, block_on, client};

/// Nothing that a test waits for may take longer.
const LIMIT: Duration = Duration::from_secs(60);

const RULE: &str = r#"
[call.user]
url = "https://api.example/me"

[claims]
sub = "$.user.id"
"#;

const CLAIMS: &str = "{\"sub\":\"1\"}";
const REQUEST: &[u8] = b"GET /acme HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer t0ken\r\n\r\n";

fn setup() -> (Upstream, Setup) {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":1}"#));
    let setup = Setup::new().rule("acme", RULE).reroute("https://api.example", &upstream.origin);
    (upstream, setup)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket can be set up");
    stream
}

/// Reads one answer with a Content-Length: its head and its body.
#[track_caller]
fn read_answer(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).expect("the gateway answers"), 1, "the head is whole");
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).expect("a head is text").to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).expect("it has a length");
    let mut body = vec![0; length.parse().expect("a length is a number")];
    stream.read_exact(&mut body).expect("the body is whole");
    (head, String::from_utf8(body).expect("a body is text"))
}

/// Everything until the gateway closes the connection.
#[track_caller]
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // It closed with something of ours unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the gateway does not close the connection: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn serves(gateway: &Gateway) {
    let answer = gateway.get("/acme", "t0ken");
    assert_eq!((answer.status, &*answer.body), (200, CLAIMS), "the gateway goes on serving");
}

#[test]
fn a_connection_of_http_1_is_kept() {
    let (_upstream, setup) = setup();
    let gateway = setup.start();
    let mut stream = connect(gateway.address);
    for _ in 0..3 {
        stream.write_all(REQUEST).expect("the connection is open");
        let (head, body) = read_answer(&mut stream);
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert_eq!(body, CLAIMS);
    }
    // Also after an error, and two requests in one piece are answered one after the other.
    stream.write_all(b"GET /acme HTTP/1.1\r\nHost: gateway\r\n\r\n").expect("the connection is open");
    assert!(read_answer(&mut stream).0.starts_with("http/1.1 401 "));
    stream.write_all(&[REQUEST, REQUEST].concat()).expect("the connection is open");
    assert_eq!((read_answer(&mut stream).1, read_answer(&mut stream).1), (CLAIMS.into(), CLAIMS.into()));
    stream
        .write_all(b"GET /acme HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Bearer t0ken\r\n\r\n")
        .expect("the connection is open");
    assert!(read_to_end(&mut stream).ends_with(CLAIMS));
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let (_upstream, setup) = setup();
    let gateway = setup.start();
    let mut stream = connect(gateway.address);
    stream.write_all(b"GET /acme HTTP/1.0\r\nAuthorization: Bearer t0ken\r\n\r\n").expect("the connection is open");
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with(CLAIMS), "{answer}");
}

#[test]
fn http_2_needs_no_tls() {
    let (_upstream, setup) = setup();
    let gateway = setup.start();
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client can be made");
    block_on(async {
        let requests = (0..20).map(|_| client.get(gateway.url("/acme")).bearer_auth("t0ken").send());
        for response in futures_util::future::join_all(requests).await {
            let response = response.expect("the gateway answers");
            assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
            assert_eq!(response.text().await.expect("the body is whole"), CLAIMS);
        }
        let post = client
            .post(gateway.url("/acme"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("access_token=t0ken")
            .send()
            .await;
        assert_eq!(post.expect("the gateway answers").status().as_u16(), 200);
    });
}

/// A certificate in files that a gateway reads.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Files { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        let certificate = files.renew();
        (files, certificate)
    }

    /// Writes a new certificate. The key comes first, as a tool that renews would do it.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
        write(&self.folder.path().join("key.pem"), &made.signing_key.serialize_pem());
        write(&self.folder.path().join("certificate.pem"), &made.cert.pem());
        made.cert.der().clone()
    }

    fn setting(&self) -> Option<Tls> {
        let path = |name| self.folder.path().join(name);
        let (certificate, key) = (path("certificate.pem"), path("key.pem"));
        Some(Tls { certificate, key, client_roots: None, client_auth: ClientAuth::default() })
    }
}

/// Replaces a file in one step, as a reader would want it.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("the folder can be written to");
    std::fs::rename(&new, path).expect("the folder can be written to");
}

fn trusting(certificates: &[&CertificateDer<'static>], alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add((*certificate).clone()).expect("it is a certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn handshake(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("it is a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The certificate that a new connection is shown.
fn presented(address: SocketAddr, known: &[&CertificateDer<'static>]) -> CertificateDer<'static> {
    let stream = block_on(handshake(address, trusting(known, &["h2"]))).expect("one of the certificates is shown");
    let shown = stream.get_ref().1.peer_certificates().expect("a server shows one");
    shown[0].clone().into_owned()
}

/// Connects again and again until the new certificate is shown.
#[track_caller]
fn wait_for(address: SocketAddr, old: &CertificateDer<'static>, new: &CertificateDer<'static>) {
    let started = Instant::now();
    while presented(address, &[old, new]) != *new {
        assert!(started.elapsed() < LIMIT, "the new certificate is never shown");
    }
}

#[test]
fn tls_offers_both_versions() {
    let (_upstream, setup) = setup();
    let (files, certificate) = Files::new();
    let gateway = setup.with(|settings| settings.tls = files.setting()).start();
    for (alpn, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let config = trusting(&[&certificate], alpn);
        block_on(async {
            let stream = handshake(gateway.address, config.clone()).await.expect("they agree");
            assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().map(|name| name.as_bytes()));
            let client = reqwest::Client::builder()
                .no_proxy()
                .tls_backend_preconfigured(config)
                .resolve("localhost", gateway.address)
                .build()
                .expect("a client can be made");
            let url = format!("https://localhost:{}/acme", gateway.address.port());
            let response = client.get(url).bearer_auth("t0ken").send().await.expect("the gateway answers");
            assert_eq!((response.version(), response.status().as_u16()), (version, 200), "{alpn:?}");
            assert_eq!(response.text().await.expect("the body is whole"), CLAIMS);
        });
    }
    let refused = block_on(handshake(gateway.address, trusting(&[&certificate], &["smtp"])));
    assert!(refused.is_err(), "nothing is spoken that was not agreed");
}

#[test]
fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let (_upstream, setup) = setup();
    let (files, first) = Files::new();
    let gateway = setup.with(|settings| settings.tls = files.setting()).start();
    assert_eq!(presented(gateway.address, &[&first]), first);
    let second = files.renew();
    wait_for(gateway.address, &first, &second);
    // A broken file and a key that belongs to another certificate change nothing. That they were
    // looked at shows in the sound one after them, which is read although its turn came later.
    let (other, _) = Files::new();
    for (name, text) in
        [("certificate.pem", "no PEM".to_owned()), ("certificate.pem", String::new()), ("key.pem", read(&other))]
    {
        write(&files.folder.path().join(name), &text);
        let looks = Instant::now();
        // Longer than the gateway lets pass between two looks.
        while looks.elapsed() < Duration::from_millis(1500) {
            assert_eq!(presented(gateway.address, &[&second]), second, "{name}");
        }
    }
    let third = files.renew();
    wait_for(gateway.address, &second, &third);
}

fn read(files: &Files) -> String {
    std::fs::read_to_string(files.folder.path().join("key.pem")).expect("it is there")
}

#[test]
fn plain_http_and_silence_on_a_tls_port_hold_nobody_up() {
    let (_upstream, setup) = setup();
    let (files, certificate) = Files::new();
    let gateway = setup.with(|settings| settings.tls = files.setting()).start();
    let _silent = connect(gateway.address);
    let mut plain = connect(gateway.address);
    plain.write_all(REQUEST).expect("the connection is open");
    let answer = read_to_end(&mut plain);
    assert!(!answer.contains("sub"), "{answer}");
    assert_eq!(presented(gateway.address, &[&certificate]), certificate);
}

#[test]
fn what_is_no_http_is_refused() {
    let (upstream, setup) = setup();
    let gateway = setup.start();
    let auth = "Authorization: Bearer t0ken\r\n";
    let huge = format!("GET /acme HTTP/1.1\r\nHost: g\r\n{auth}X: {}\r\n\r\n", "x".repeat(70 * 1024));
    let many = format!("GET /acme HTTP/1.1\r\nHost: g\r\n{auth}{}\r\n", "X: y\r\n".repeat(2000));
    let line = format!("GET /{} HTTP/1.1\r\nHost: g\r\n\r\n", "a".repeat(80 * 1024));
    let post = "POST /acme HTTP/1.1\r\nHost: g\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for (what, bytes) in [
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("letters", b"hello?\r\n\r\n".to_vec()),
        ("an unknown version", b"GET /acme HTTP/3.7\r\n\r\n".to_vec()),
        ("a preface of HTTP/2 alone", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage garbage".to_vec()),
        ("a header of 70 KiB", huge.into_bytes()),
        ("2000 headers", many.into_bytes()),
        ("a path of 80 KiB", line.into_bytes()),
        ("a folded header", format!("GET /acme HTTP/1.1\r\nHost: g\r\n{auth}X: a\r\n b\r\n\r\n").into_bytes()),
        (
            "a space before the colon",
            b"GET /acme HTTP/1.1\r\nHost : g\r\nAuthorization : Bearer t0ken\r\n\r\n".to_vec(),
        ),
        ("NUL in a header", format!("GET /acme HTTP/1.1\r\nHost: g\r\n{auth}X: a\0b\r\n\r\n").into_bytes()),
        ("CR alone in a header", format!("GET /acme HTTP/1.1\r\nHost: g\r\n{auth}X: a\rb\r\n\r\n").into_bytes()),
        (
            "two lengths",
            format!("{post}Content-Length: 18\r\nContent-Length: 5\r\n\r\naccess_token=t0ken").into_bytes(),
        ),
        ("a length that is none", format!("{post}Content-Length: -5\r\n\r\naccess_token=t0ken").into_bytes()),
        (
            "chunks that are none",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\naccess_token=t0ken\r\n0\r\n\r\n").into_bytes(),
        ),
        ("an unknown coding", format!("{post}Transfer-Encoding: gzip\r\n\r\naccess_token=t0ken").into_bytes()),
    ] {
        let mut stream = connect(gateway.address);
        // The gateway may close before it has read everything.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = read_to_end(&mut stream);
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || !answer.starts_with("HTTP/");
        assert!(refused && !answer.contains("\"sub\""), "{what}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: one answer at most: {answer}");
        serves(&gateway);
    }
    let asked = upstream.seen().len();
    assert_eq!(asked, 15, "the upstream saw the sound requests alone");
}

/// RFC 9112, section 6.3: the chunks count, and the connection ends, so that nothing can hide behind them.
#[test]
fn a_length_beside_chunks_ends_the_connection() {
    let (upstream, setup) = setup();
    let gateway = setup.start();
    let mut stream = connect(gateway.address);
    let smuggled = "GET /acme HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer t0ken\r\n\r\n";
    let request = format!(
        "POST /acme HTTP/1.1\r\nHost: g\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n12\r\naccess_token=t0ken\r\n0\r\n\r\n{smuggled}"
    );
    stream.write_all(request.as_bytes()).expect("the connection is open");
    let answer = read_to_end(&mut stream);
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(upstream.seen().len(), 1, "what stood behind the chunks was never read");
}

#[test]
fn half_a_request_holds_nobody_up() {
    let (_upstream, setup) = setup();
    let gateway = setup.start();
    let mut open = Vec::new();
    for half in [&b""[..], b"GET /ac", b"GET /acme HTTP/1.1\r\nHost: g\r\n", b"PRI * HTTP/2.0\r\n\r\n"] {
        let mut stream = connect(gateway.address);
        stream.write_all(half).expect("the connection is open");
        open.push(stream);
    }
    let mut body = connect(gateway.address);
    body.write_all(b"POST /acme HTTP/1.1\r\nHost: g\r\nContent-Length: 18\r\n\r\naccess")
        .expect("the connection is open");
    serves(&gateway);
    // A body that breaks off is no request.
    body.shutdown(std::net::Shutdown::Write).expect("the connection is open");
    let answer = read_to_end(&mut body);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    serves(&gateway);
}

#[test]
fn a_body_that_never_comes_ends_at_the_deadline() {
    let (_upstream, setup) = setup();
    let deadline = claimsmith::config::Span(Duration::from_millis(100));
    let gateway = setup.with(|settings| settings.deadline = deadline).start();
    let mut stream = connect(gateway.address);
    stream
        .write_all(b"POST /acme HTTP/1.1\r\nHost: g\r\nContent-Length: 18\r\n\r\naccess")
        .expect("the connection is open");
    let (head, _) = read_answer(&mut stream);
    assert!(head.starts_with("http/1.1 504 "), "{head}");
}

#[test]
fn a_body_that_comes_slowly_takes_no_place_of_a_request() {
    let (_upstream, setup) = setup();
    let gateway = setup.with(|settings| settings.max_requests = 1).start();
    let mut stream = connect(gateway.address);
    let head = "POST /acme HTTP/1.1\r\nHost: g\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Content-Length: 18\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the connection is open");
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("the gateway asks for the body");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"access_token").expect("the connection is open");
    (0..3).for_each(|_| serves(&gateway));
    stream.write_all(b"=t0ken").expect("the connection is open");
    assert_eq!(read_answer(&mut stream).1, CLAIMS);
}

#[test]
fn a_stop_finishes_what_runs_on_both_versions() {
    let (arrived, arrivals) = channel();
    let (release, released) = tokio::sync::watch::channel(false);
    let upstream = Upstream::slow(move |_| {
        let mut released = released.clone();
        // The test has ended if nobody listens.
        let _ = arrived.send(());
        async move {
            let _ = released.wait_for(|released| *released).await;
            Reply::json(r#"{"id":1}"#)
        }
    });
    let gateway = Setup::new().rule("acme", RULE).reroute("https://api.example", &upstream.origin).start();
    let address = gateway.address;
    // A connection that is idle, and one that never said anything, must not hold the stop up.
    let _silent = connect(address);
    let mut idle = connect(address);
    idle.write_all(b"GET /acme HTTP/1.1\r\nHost: g\r\n\r\n").expect("the connection is open");
    read_answer(&mut idle);
    let requests: Vec<_> = [false, true]
        .map(|http2| {
            thread::spawn(move || {
                let _ = client();
                let builder = reqwest::Client::builder().no_proxy();
                let builder = if http2 { builder.http2_prior_knowledge() } else { builder };
                let client = builder.build().expect("a client can be made");
                block_on(async {
                    let sent = client.get(format!("http://{address}/acme")).bearer_auth("t0ken").send().await;
                    sent.expect("the gateway answers").text().await.expect("the body is whole")
                })
            })
        })
        .into();
    for _ in &requests {
        arrivals.recv_timeout(LIMIT).expect("the upstream is asked");
    }
    let (done, stopped) = channel();
    let stopping = thread::spawn(move || {
        drop(gateway);
        done.send(Instant::now()).expect("the test waits for it");
    });
    // The idle connection is closed: then the stop has begun, and the requests are still on their way.
    assert_eq!(read_to_end(&mut idle), "");
    assert!(stopped.try_recv().is_err(), "it waits for what runs");
    let released = Instant::now();
    release.send(true).expect("the upstream waits for it");
    for request in requests {
        assert_eq!(request.join().expect("the request is answered"), CLAIMS);
    }
    let ended = stopped.recv_timeout(LIMIT).expect("the gateway stops");
    assert!(ended - released < Duration::from_secs(8), "nothing that is idle holds the stop up");
    stopping.join().expect("the gateway stops");
}

/// How long a connection may be idle or slow in the tests about that: not long, and longer than a busy machine needs
/// from one byte to the next.
const SHORT: Duration = Duration::from_millis(700);

fn bounded(change: impl FnOnce(&mut claimsmith::config::Settings)) -> (Upstream, Gateway) {
    let (upstream, setup) = setup();
    (upstream, setup.with(change).start())
}

#[test]
fn more_connections_than_may_be_are_closed_as_they_come() {
    let (_upstream, gateway) = bounded(|settings| settings.max_connections = 2);
    let mut held: Vec<_> = (0..2).map(|_| connect(gateway.address)).collect();
    for stream in &mut held {
        stream.write_all(REQUEST).expect("the connection is open");
        assert_eq!(read_answer(stream).1, CLAIMS);
    }
    for _ in 0..3 {
        assert_eq!(read_to_end(&mut connect(gateway.address)), "", "one too many");
    }
    for stream in &mut held {
        stream.write_all(REQUEST).expect("the connection is open");
        assert_eq!(read_answer(stream).1, CLAIMS, "those that were there are served on");
    }
    // Where one has gone there is room for another, as soon as that is noticed.
    drop(held.pop());
    let started = Instant::now();
    loop {
        let mut stream = connect(gateway.address);
        let _ = stream.write_all(REQUEST);
        let mut first = [0];
        if matches!(stream.read(&mut first), Ok(1)) {
            break;
        }
        assert!(started.elapsed() < LIMIT, "there is room again");
    }
}

#[test]
fn a_connection_without_a_request_is_closed_in_the_end() {
    let short = claimsmith::config::Span(SHORT);
    let (_upstream, gateway) = bounded(|settings| settings.idle_timeout = short);
    for (what, request) in [
        ("silent", &b""[..]),
        ("after an answer", REQUEST),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ] {
        let began = Instant::now();
        let mut stream = connect(gateway.address);
        stream.write_all(request).expect("the connection is open");
        if request == REQUEST {
            read_answer(&mut stream);
        }
        read_to_end(&mut stream);
        assert!(began.elapsed() >= SHORT, "{what}: not sooner");
    }
    serves(&gateway);
}

#[test]
fn a_slow_head_is_cut_off_and_a_slow_upstream_is_not() {
    let upstream = Upstream::slow(|_| async {
        tokio::time::sleep(SHORT * 3).await;
        Reply::json(r#"{"id":1}"#)
    });
    let short = claimsmith::config::Span(SHORT);
    let setup = Setup::new().rule("acme", RULE).reroute("https://api.example", &upstream.origin);
    let gateway = setup.with(|settings| settings.head_timeout = short).start();
    let mut slow = connect(gateway.address);
    slow.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket can be set up");
    let began = Instant::now();
    let mut byte = [0];
    slow.write_all(b"GET /acme HTTP/1.1\r\nX: ").expect("the connection is open");
    // A byte now and then does not help.
    while slow.write_all(b"x").is_ok() {
        assert!(began.elapsed() < LIMIT, "it is never cut off");
        match slow.read(&mut byte) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => break,
            Ok(_) => panic!("there was no request"),
        }
    }
    assert!(began.elapsed() >= SHORT, "not sooner");
    serves(&gateway);
}

#[test]
fn silence_in_a_handshake_is_cut_off() {
    let (_upstream, setup) = setup();
    let (files, certificate) = Files::new();
    let short = claimsmith::config::Span(SHORT);
    let gateway = setup
        .with(|settings| {
            settings.tls = files.setting();
            settings.head_timeout = short;
        })
        .start();
    let began = Instant::now();
    assert_eq!(read_to_end(&mut connect(gateway.address)), "");
    assert!(began.elapsed() >= SHORT, "not sooner");
    assert_eq!(presented(gateway.address, &[&certificate]), certificate);
}

#[test]
fn heads_are_bounded_in_bytes_and_in_headers_on_both_versions() {
    let (_upstream, gateway) = bounded(|settings| {
        settings.max_request_head = 16 * 1024;
        settings.max_request_headers = 20;
    });
    for http2 in [false, true] {
        let builder = reqwest::Client::builder().no_proxy();
        let client =
            if http2 { builder.http2_prior_knowledge() } else { builder }.build().expect("a client can be made");
        let ask = |headers: usize, length: usize| {
            let mut request = client.get(gateway.url("/acme")).bearer_auth("t0ken");
            for number in 0..headers {
                request = request.header(format!("x-{number}"), "y".repeat(length));
            }
            // A connection that is closed is a refusal too.
            block_on(async { request.send().await.ok().map(|response| response.status().as_u16()) })
        };
        assert_eq!(ask(10, 10), Some(200), "HTTP/2: {http2}");
        assert_eq!(ask(30, 10), Some(431), "HTTP/2: {http2}");
        let large = ask(10, 3000);
        assert!(matches!(large, Some(431) | None), "HTTP/2: {http2}: {large:?}");
    }
    serves(&gateway);
}

#[test]
fn more_headers_may_be_allowed() {
    let (_upstream, gateway) = bounded(|settings| settings.max_request_headers = 150);
    for (headers, status) in [(140, "200"), (200, "431")] {
        let mut stream = connect(gateway.address);
        let more = "X: y\r\n".repeat(headers);
        let request = format!("GET /acme HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer t0ken\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).expect("the connection is open");
        let (head, _) = read_answer(&mut stream);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{headers}: {head}");
    }
}

/// Frames of HTTP/2 (RFC 9113), put together by hand.
mod frames {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub const SETTINGS: u8 = 4;
    pub const GOAWAY: u8 = 7;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("frames of tests are short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A whole request without a body: GET, http, `/`, and an authority.
    pub fn request(stream: u32) -> Vec<u8> {
        frame(1, 0x5, stream, &[0x82, 0x86, 0x84, 0x41, 1, b'g'])
    }

    pub fn reset(stream: u32) -> Vec<u8> {
        frame(3, 0, stream, &8u32.to_be_bytes())
    }
}

/// The next frame of one kind.
#[track_caller]
fn read_frame(stream: &mut TcpStream, kind: u8) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("the gateway says something");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).expect("the frame is whole");
        if head[3] == kind {
            return payload;
        }
    }
}

#[test]
fn streams_are_bounded_and_resets_end_the_connection() {
    let (upstream, gateway) = bounded(|settings| {
        settings.max_streams = 7;
        settings.max_resets = 5;
    });
    let mut stream = connect(gateway.address);
    let start = [frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&start).expect("the connection is open");
    let settings = read_frame(&mut stream, frames::SETTINGS);
    let streams = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("the bound is told");
    assert_eq!(streams[2..], 7u32.to_be_bytes());
    // CVE-2023-44487: requests that are taken back as they are made.
    let flood: Vec<u8> = (0..2000)
        .map(|number| 2 * number + 1)
        .flat_map(|id| [frames::request(id), frames::reset(id)].concat())
        .collect();
    // It may be closed before all is written.
    let _ = stream.write_all(&flood);
    let goaway = read_frame(&mut stream, frames::GOAWAY);
    assert_eq!(goaway[4..8], 11u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
    assert_eq!(upstream.seen().len(), 0);
    serves(&gateway);
}

#[test]
fn a_head_without_end_ends_the_connection() {
    let (_upstream, gateway) = bounded(|_| {});
    let mut stream = connect(gateway.address);
    let start = [frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
    // CVE-2024-27316: HEADERS, and then CONTINUATION again and again, never the last.
    let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let head = frames::frame(1, 0, 1, &[0x82, 0x86, 0x84]);
    let more = frames::frame(9, 0, 1, &field.repeat(100));
    let flood = [start, head, more.repeat(500)].concat();
    let _ = stream.write_all(&flood);
    read_to_end(&mut stream);
    serves(&gateway);
}
