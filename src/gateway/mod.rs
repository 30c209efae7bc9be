//! The native gateway: sockets in, [`core`](crate::core), sockets out.
//!
//! A request meets `listener` (connections), `service` (one request), the core,
//! and `upstream` (the core's door). Each worker thread has a runtime, a client and
//! so a connection pool of its own: a request stays on the thread that accepted it,
//! which spares the hand-overs, and scripts run on a stack of known size.

mod access;
mod admin;
#[expect(clippy::disallowed_methods, reason = "certificates for upstreams are read here")]
mod clients;
mod connection;
#[expect(clippy::disallowed_methods, reason = "the environment may name a proxy")]
mod egress;
mod listener;
#[expect(clippy::disallowed_methods, reason = "rule files are read here")]
mod load;
mod loader;
mod log;
mod manners;
mod metrics;
mod otlp;
mod play;
mod recording;
mod reload;
mod service;
mod serving;
#[expect(clippy::disallowed_methods, reason = "files are looked at here")]
mod stamps;
mod store;
mod tls;
mod traces;
#[expect(clippy::disallowed_methods, reason = "secrets, script files and the time are read here")]
mod upstream;
mod wellformed;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{runtime::Builder, sync::watch};

use self::{
    access::{Memory, Rings},
    metrics::Tally,
    otlp::{Courier, Otlp},
    recording::Recordings,
    reload::Status,
    serving::{Set, Worker},
    traces::Traces,
};
pub use self::{
    admin::{Admin, address as admin_address, key as admin_key},
    egress::{Found, Lookup},
    load::{
        bytes_beside, catalogue, files, is_file, is_folder, shipped_folder, source, texts as rule_texts, toml_files,
    },
    loader::{Loaded, Loader, Report, State, load},
    log::{flush as flush_log, start as start_log},
    play::{Allowed, Opened},
    reload::{Reloader, Reloading},
    store::Store,
    tls::Certificate,
    upstream::{Secrets, Upstream},
};
use crate::{
    config::Settings,
    core::{CompiledRule, Host, Routes},
};

/// The stack of a worker: what a script within its limits needs, many times over.
const WORKER_STACK: usize = 8 * 1024 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What all workers share.
struct Shared {
    /// As they were at the start: those that can change since are in the workers' sets.
    settings: Settings,
    workers: Vec<Worker>,
    /// Requests on their way, in all workers together.
    in_flight: AtomicUsize,
    /// Requests whose body is on its way here.
    receiving: AtomicUsize,
    /// Connections that are open.
    connections: AtomicUsize,
    /// Workers that accept connections.
    listening: AtomicUsize,
    /// The process is about to end, and not ready.
    stopping: AtomicBool,
    tls: Option<Arc<Certificate>>,
    access: Memory,
    /// Where requests leave traces, if they do.
    otlp: Option<Arc<Otlp>>,
    tally: Tally,
    status: Status,
    recordings: Recordings,
    traces: Traces,
    /// Knows what is kept and what is known of upstreams; it sends nothing itself.
    upstream: Upstream,
    /// When the process began to serve, since 1970.
    started: Duration,
}

/// A server that is running.
pub struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    courier: Option<Courier>,
}

/// Binds the port and starts the workers.
///
/// # Errors
/// When the port cannot be bound, the certificate or a key cannot be read, or a thread cannot be started.
pub fn start(settings: Settings, routes: &Routes<CompiledRule>, secrets: &Secrets) -> Result<Running, String> {
    settings.check()?;
    let access = Memory::new(Rings::read(&settings, secrets)?);
    let listener = bind(&settings).map_err(|error| explain(settings.listen, &error))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let tls = settings.tls.as_ref().map(Certificate::read).transpose()?.map(Arc::new);
    let count = match settings.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let (stop, stopped) = watch::channel(false);
    let tally = Tally::new(count);
    let set = Set::new(settings.clone(), routes, &tally, &access);
    let traces = Traces::new(settings.admin.traces);
    let store = Store::with(&settings);
    let upstream = |_| Upstream::new(&settings, secrets.clone(), store.clone());
    let upstreams = (0..count).map(upstream).collect::<Result<Vec<_>, _>>()?;
    let shared = Arc::new(Shared {
        otlp: Otlp::new(&settings, address).map(Arc::new),
        settings,
        workers: (0..count).map(|_| Worker::new(&set)).collect(),
        in_flight: AtomicUsize::new(0),
        receiving: AtomicUsize::new(0),
        connections: AtomicUsize::new(0),
        listening: AtomicUsize::new(count),
        stopping: AtomicBool::new(false),
        tls,
        access,
        tally,
        status: Status::default(),
        recordings: Recordings::default(),
        traces,
        upstream: upstreams[0].clone(),
        started: <Upstream as Host>::now(),
    });
    let courier = Courier::start(&shared, secrets)?;
    let mut threads = Vec::with_capacity(count);
    for (number, upstream) in upstreams.into_iter().enumerate() {
        let listener = listener.try_clone().map_err(|error| error.to_string())?;
        let (shared, stopped) = (shared.clone(), stopped.clone());
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(WORKER_STACK)
            .spawn(move || work(listener, number, shared, upstream, stopped))
            .map_err(|error| format!("cannot start a worker: {error}"))?;
        threads.push(thread);
    }
    Ok(Running { address, shared, stop, threads, courier })
}

impl Shared {
    /// Whether requests are welcome; why not otherwise.
    fn readiness(&self) -> Result<(), &'static str> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("stopping");
        }
        match self.workers.first().is_none_or(|worker| worker.set().is_empty()) {
            true => Err("no rule serves"),
            false => Ok(()),
        }
    }

    /// True if nobody listens any more: who keeps a connection should make a new one, elsewhere.
    fn is_leaving(&self) -> bool {
        self.listening.load(Ordering::Relaxed) == 0
    }
}

impl Running {
    /// The address that is bound; its port is real also if the settings said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells that it is not ready, goes on for `stop_delay`, then stops accepting, lets the requests on their way
    /// finish within `drain`, and returns.
    pub fn stop(self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let delay = self.shared.workers.first().map(|worker| worker.set().settings.stop_delay.0).unwrap_or_default();
        wait(delay);
        // Without a receiver the workers are gone already.
        let _ = self.stop.send(true);
        for thread in self.threads {
            // A panic of a worker was logged when it happened.
            let _ = thread.join();
        }
        // What the last requests left is sent.
        drop(self.courier);
    }
}

/// Lets time pass.
fn wait(time: Duration) {
    let until = clock() + time;
    while let Some(left) = until.checked_sub(clock()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// One thread's life.
fn work(listener: TcpListener, number: usize, shared: Arc<Shared>, upstream: Upstream, stopped: watch::Receiver<bool>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker cannot start"),
    };
    runtime.block_on(async {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener::accept(listener, number, shared, upstream, stopped).await,
            Err(error) => tracing::error!(%error, "a worker cannot listen"),
        }
    });
    // What is still there after the drain is cut off.
    runtime.shutdown_timeout(Duration::ZERO);
}

/// One socket for all workers: each accepts when it has time, so that few connections spread well too.
fn bind(settings: &Settings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(settings.listen), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a process that has just ended do not keep the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(settings.share_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&settings.listen.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => ": the port is in use; choose another with `--listen`, or port 0 for a free one",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need a privilege; choose a higher one with `--listen`",
        io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
        _ => "",
    };
    format!("cannot listen on {address}{remedy} ({error})")
}

/// Time since the process first asked.
#[expect(clippy::disallowed_methods, reason = "this is the clock that the core asks")]
fn clock() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
