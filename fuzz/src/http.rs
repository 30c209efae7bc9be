//! Bytes as what a client sends to the port: it gets answers or the connection is closed, in time, and claims
//! answer whole heads alone.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::LazyLock,
    thread,
    time::Duration,
};

use claimsmith::{
    config::{Door, Settings, Span},
    core::Routes,
    gateway::{Running, Secrets, start},
};

use super::world;

/// Longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(20);
/// Nobody can write so much that more is answered.
const MOST: usize = 4 * 1024 * 1024;

const RULE: &str = r#"
[request]
headers = ["user-agent"]

[call.user]
url = "https://api.example/user"

[claims]
sub   = "$.user.id"
agent = "$.request.headers['user-agent']"
"#;

/// A rule that asks nobody: for what is fine.
const QUIET: &str = r#"
[call.user]
url  = "https://api.example/user"
when = "false"

[claims]
sub = { value = "u1" }
"#;

/// A gateway that serves as long as the process does.
struct Served {
    address: SocketAddr,
    _running: Running,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let origin = format!("http://{}", provider());
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = Settings { listen, workers: 1, deadline: Span(Duration::from_secs(5)), ..Settings::default() };
    settings.head_timeout = Span(Duration::from_secs(5));
    settings.admin.listen = Door::Off;
    let reroute = ("https://api.example".parse().expect("an origin"), origin.parse().expect("an origin"));
    settings.upstream.reroute.extend([reroute]);
    let rules = [("acme", RULE), ("quiet", QUIET)].map(|(name, text)| (name.to_owned(), world::sound(text)));
    let running = start(settings, &Routes::new(rules), &Secrets::Placeholders).expect("a free port can be bound");
    Served { address: running.address(), _running: running }
});

/// What is asked of an input: all of it is sent over one connection, of which nothing more will come.
pub fn check(bytes: &[u8]) {
    let answer = exchange(bytes);
    let http2 = bytes.starts_with(b"PRI");
    // Claims are answered to whole heads alone: each ends with an empty line.
    let count = |of: &[u8], what: &[u8]| of.windows(what.len()).filter(|window| *window == what).count();
    let heads = count(bytes, b"\n\n") + count(bytes, b"\n\r\n");
    let answered = count(&answer, b"{\"sub\":");
    assert!(http2 || answered <= heads, "{answered} answers to {heads} heads");
    if !http2 && !answer.is_empty() {
        assert!(answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    }
}

fn exchange(bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(SERVED.address).expect("the gateway accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket can be set up");
    stream.set_nodelay(true).expect("a socket can be set up");
    // It may be closed before all is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.take(MOST as u64).read_to_end(&mut answer) {
        Ok(length) => assert!(length < MOST, "an answer without end"),
        // It was closed with something of ours unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection hangs: {error}"),
    }
    answer
}

/// A provider that answers every request in one piece.
fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            thread::spawn(move || provide(stream));
        }
    });
    address
}

fn provide(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"id\":7}";
    let mut head = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            assert!(head.starts_with(b"GET /user HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
            head.clear();
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}
