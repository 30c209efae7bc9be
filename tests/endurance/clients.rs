//! Clients that keep their connections and measure how long each answer took.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    program::LIMIT,
    upstream::{end_of_head, header},
};

/// An answer.
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: String,
    pub took: Duration,
}

impl Reply {
    /// A header by its name in lower case; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        header(&self.head, name).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// One client with one connection, made again when it was closed in good order.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    bytes: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Client { address, stream: None, bytes: Vec::new() }
    }

    /// `GET path` with a token. There is no second try: a connection that ends without an answer is an error.
    pub fn get(&mut self, path: &str, token: &str) -> Result<Reply, String> {
        let began = Instant::now();
        self.send(&request(path, token))?;
        let reply = self.receive()?;
        Ok(Reply { took: began.elapsed(), ..reply })
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.stream.is_none() {
            self.stream = Some(self.connect()?);
            self.bytes.clear();
        }
        let Some(stream) = &mut self.stream else { return Err("no connection".into()) };
        stream.write_all(bytes).map_err(|error| format!("not sent: {error}"))
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect(self.address).map_err(|error| format!("no connection: {error}"))?;
        stream.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }

    /// The next answer. `took` is not known here.
    pub fn receive(&mut self) -> Result<Reply, String> {
        let Some(stream) = &mut self.stream else { return Err("no connection".into()) };
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some((reply, length)) = parse(&self.bytes)? {
                self.bytes.drain(..length);
                if reply.header("connection").eq_ignore_ascii_case("close") {
                    self.stream = None;
                }
                return Ok(reply);
            }
            match stream.read(&mut piece) {
                Ok(0) => return self.lost("closed without an answer".into()),
                Ok(length) => self.bytes.extend_from_slice(&piece[..length]),
                Err(error) => return self.lost(format!("not answered: {error}")),
            }
        }
    }

    fn lost(&mut self, why: String) -> Result<Reply, String> {
        self.leave();
        Err(why)
    }

    /// Goes away, whatever is on its way.
    pub fn leave(&mut self) {
        self.stream = None;
        self.bytes.clear();
    }
}

/// A request as it is sent.
pub fn request(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let Some(end) = end_of_head(bytes) else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = header(&head, "content-length").and_then(|length| length.parse().ok()).ok_or("no length")?;
    let Some(body) = bytes.get(end..end + length) else { return Ok(None) };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let body = String::from_utf8_lossy(body).into_owned();
    Ok(Some((Reply { status, head, body, took: Duration::ZERO }, end + length)))
}

/// How late a thread of ours wakes on this machine: what a bound in time has to allow besides. A thread measures it
/// while a test runs.
#[derive(Default)]
pub struct Lateness {
    worst: AtomicU64,
    over: AtomicBool,
}

impl Lateness {
    /// Runs a test, and tells it how late the machine was in the end.
    pub fn beside<T>(test: impl FnOnce() -> T) -> (T, Duration) {
        let lateness = Lateness::default();
        let value = thread::scope(|scope| {
            scope.spawn(|| {
                const NAP: Duration = Duration::from_millis(5);
                while !lateness.over.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    thread::sleep(NAP);
                    let late = began.elapsed().saturating_sub(NAP);
                    lateness.worst.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
                }
            });
            // Also when the test fails.
            let _over = Over(&lateness.over);
            test()
        });
        (value, Duration::from_micros(lateness.worst.into_inner()))
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The part of the durations that is not above the result: 0.99 for p99.
pub fn percentile(durations: &mut [Duration], part: f64) -> Duration {
    durations.sort_unstable();
    let last = durations.len().saturating_sub(1);
    durations.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

/// A number from the environment, or the one of the short form.
pub fn wanted(name: &str, short: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}
