//! A proxy that stands before an upstream and does it harm: what toxiproxy is elsewhere, for which there is no package
//! here. Packets that get lost are not its business; `network.rs` has the kernel lose them.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::SockRef;

use super::upstream::small;

/// What the proxy does to connections, new and old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// None.
    None,
    /// Nobody listens, and all connections are closed.
    Killed,
    /// Connections are there, and nothing comes of what is sent.
    Hung,
    /// Half of an answer, and then the end.
    Half,
    /// A request resets its connection.
    Reset,
    /// An answer comes late, but in time.
    Slow,
    /// An answer comes byte by byte, and not in time.
    Drip,
    /// Every other connection is reset.
    Flapping,
}

const ALL: [Harm; 8] =
    [Harm::None, Harm::Killed, Harm::Hung, Harm::Half, Harm::Reset, Harm::Slow, Harm::Drip, Harm::Flapping];

/// How late `Slow` is.
pub const SLOW: Duration = Duration::from_millis(100);

/// A proxy at work. It goes with the process.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    harm: AtomicU8,
    upstream: SocketAddr,
    /// Connections that were accepted.
    accepted: AtomicUsize,
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Shared {
    fn harm(&self) -> Harm {
        ALL[usize::from(self.harm.load(Ordering::SeqCst))]
    }
}

impl Proxy {
    pub fn new(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Shared { harm: 0.into(), upstream, accepted: 0.into(), open: Mutex::default() };
        let proxy = Proxy { address, shared: Arc::new(shared) };
        proxy.listen(listener);
        proxy
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// From now on it does this.
    pub fn set(&self, harm: Harm) {
        let number = ALL.iter().position(|known| *known == harm).expect("all are there");
        let before = self.shared.harm();
        self.shared.harm.store(u8::try_from(number).expect("there are few"), Ordering::SeqCst);
        if harm == Harm::Killed && before != Harm::Killed {
            // Whoever accepts sees it with the next connection.
            drop(TcpStream::connect(self.address));
            while TcpStream::connect(self.address).is_ok() {
                thread::yield_now();
            }
            self.cut();
        } else if before == Harm::Killed && harm != Harm::Killed {
            let mut listener = TcpListener::bind(self.address);
            while listener.is_err() {
                thread::sleep(Duration::from_millis(1));
                listener = TcpListener::bind(self.address);
            }
            self.listen(listener.expect("it was just seen to be there"));
        }
    }

    /// Closes all connections.
    pub fn cut(&self) {
        for (_, stream) in self.shared.open.lock().expect("no thread panics").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn listen(&self, listener: TcpListener) {
        let shared = self.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.harm() == Harm::Killed {
                    return;
                }
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                let shared = shared.clone();
                small(move || carry(stream, number, &shared));
            }
        });
    }
}

/// One connection, to its end.
fn carry(client: TcpStream, number: usize, shared: &Arc<Shared>) {
    // One that breaks is what this is about.
    let _ = pass(client, number, shared);
    shared.open.lock().expect("no thread panics").retain(|(known, _)| *known != number);
}

fn pass(client: TcpStream, number: usize, shared: &Arc<Shared>) -> std::io::Result<()> {
    let upstream = TcpStream::connect(shared.upstream)?;
    for stream in [&client, &upstream] {
        stream.set_nodelay(true)?;
        shared.open.lock().expect("no thread panics").push((number, stream.try_clone()?));
    }
    let (from, to, there) = (upstream.try_clone()?, client.try_clone()?, shared.clone());
    let resetting = Arc::new(AtomicBool::new(false));
    let is_reset = resetting.clone();
    small(move || _ = bring(from, to, &there, &is_reset));
    let (mut client, mut upstream, mut piece) = (client, upstream, [0; 16 * 1024]);
    loop {
        let length = client.read(&mut piece)?;
        match shared.harm() {
            _ if length == 0 => return upstream.shutdown(Shutdown::Both),
            Harm::Hung => {}
            harm if harm == Harm::Reset || (harm == Harm::Flapping && number % 2 == 1) => {
                // It goes out when all that hold the connection have let go of it.
                resetting.store(true, Ordering::SeqCst);
                SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
                return upstream.shutdown(Shutdown::Both);
            }
            _ => upstream.write_all(&piece[..length])?,
        }
    }
}

/// Its other direction.
fn bring(mut from: TcpStream, mut to: TcpStream, shared: &Shared, resetting: &AtomicBool) -> std::io::Result<()> {
    let mut piece = [0; 16 * 1024];
    loop {
        let length = from.read(&mut piece)?;
        match shared.harm() {
            _ if length == 0 && resetting.load(Ordering::SeqCst) => return Ok(()),
            _ if length == 0 => return to.shutdown(Shutdown::Both),
            Harm::Hung => {}
            Harm::Half => {
                to.write_all(&piece[..length / 2])?;
                to.shutdown(Shutdown::Both)?;
                return from.shutdown(Shutdown::Both);
            }
            Harm::Drip => {
                for byte in &piece[..length] {
                    thread::sleep(Duration::from_millis(50));
                    to.write_all(&[*byte])?;
                }
            }
            harm => {
                if harm == Harm::Slow {
                    thread::sleep(SLOW);
                }
                to.write_all(&piece[..length])?;
            }
        }
    }
}
