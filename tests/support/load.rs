//! Clients that keep their connections and ask all the time, and forgive nothing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// No answer may take longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    /// So many clients ask for `GET path` with a token, each over one connection, until they are stopped. An answer
    /// that is not 200, or none at all, is a failure; there is no second try. A connection is made anew only if the
    /// answer asked for it.
    pub fn start(clients: usize, address: SocketAddr, path: &'static str) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |_| {
            let (stop, done) = (stop.clone(), done.clone());
            thread::spawn(move || {
                let mut kept = None;
                while !stop.load(Ordering::SeqCst) {
                    let stream = match kept.take() {
                        Some(stream) => stream,
                        None => connect(address)?,
                    };
                    kept = ask(stream, path)?;
                    done.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, done, clients }
    }

    /// How many requests were answered so far.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Stops; the failures, and how many requests were answered.
    pub fn stop(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.clients.into_iter().map(|client| client.join().expect("a client does not panic"));
        (ended.filter_map(Result::err).collect(), self.done.load(Ordering::SeqCst))
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("no connection: {error}"))?;
    stream.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// One request; the connection, if it is kept.
fn ask(mut stream: TcpStream, path: &str) -> Result<Option<TcpStream>, String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer t0ken\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| format!("not sent: {error}"))?;
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let length = stream.read(&mut piece).map_err(|error| format!("not answered: {error}"))?;
        if length == 0 {
            return Err("closed without an answer".into());
        }
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if body.len() < length.and_then(|length| length.parse().ok()).ok_or("no length")? {
            continue;
        }
        return match head.starts_with("http/1.1 200 ") {
            true => Ok((!head.contains("connection: close")).then_some(stream)),
            false => Err(text),
        };
    }
}
