//! An upstream that does to each request what it is told: sockets and threads, so that faults are what they are.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What becomes of one request.
pub enum Act {
    /// These bytes, whole.
    Answer(Vec<u8>),
    /// The same after a while.
    Late(Duration, Vec<u8>),
    /// These bytes, one at a time, with a pause before each.
    Drip(Duration, Vec<u8>),
    /// These bytes, and then the end of the connection.
    Part(Vec<u8>),
    /// Whatever a function writes, until the other side has enough.
    Flood(fn(&mut TcpStream) -> std::io::Result<()>),
    /// The connection is reset.
    Reset,
    /// Nothing, ever.
    Hang,
}

impl Act {
    /// 200 with a JSON text.
    pub fn json(body: &str) -> Self {
        Act::Answer(answer(200, "", body))
    }
}

/// An answer as it is sent. Further headers end with CR LF each.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A request that came.
pub struct Asked<'a> {
    pub path: &'a str,
    /// The caller's token; empty if there is none.
    pub token: &'a str,
    head: &'a str,
}

impl Asked<'_> {
    /// A header by its name in lower case; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        header(self.head, name).unwrap_or_default()
    }
}

/// A header of a head, by its name in lower case.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// An upstream at work. It goes with the process.
pub struct Upstream {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn new(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (act, asked): (Arc<_>, Arc<AtomicUsize>) = (Arc::new(act), Arc::default());
        let counted = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (act, counted) = (act.clone(), counted.clone());
                small(move || _ = serve(stream, &*act, &counted));
            }
        });
        Upstream { address, asked }
    }

    /// How many requests came so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A thread with a small stack: there are many of them.
pub fn small(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(256 * 1024).spawn(work).expect("a thread can be started");
}

fn serve(mut stream: TcpStream, act: &impl Fn(&Asked) -> Act, counted: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        // Requests of these tests have no bodies.
        let Some(end) = end_of_head(&bytes) else {
            let length = stream.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&piece[..length]);
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end);
        counted.fetch_add(1, Ordering::SeqCst);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let token = header(&head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        match act(&Asked { path, token: token.unwrap_or_default(), head: &head }) {
            Act::Answer(answer) => stream.write_all(&answer)?,
            Act::Late(delay, answer) => {
                thread::sleep(delay);
                stream.write_all(&answer)?;
            }
            Act::Drip(pause, answer) => {
                for byte in answer {
                    thread::sleep(pause);
                    stream.write_all(&[byte])?;
                }
            }
            Act::Part(answer) => {
                stream.write_all(&answer)?;
                return stream.shutdown(Shutdown::Both);
            }
            Act::Flood(write) => return write(&mut stream),
            Act::Reset => return reset(stream),
            Act::Hang => {
                while stream.read(&mut piece)? > 0 {}
                return Ok(());
            }
        }
    }
}

/// Where a head ends, if it is whole.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

/// Ends a connection by RST.
pub fn reset(stream: TcpStream) -> std::io::Result<()> {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO))
}
