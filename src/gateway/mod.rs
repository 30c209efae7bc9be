//! The native gateway: sockets in, [`core`](crate::core), sockets out.
//!
//! A request meets `listener` (connections), `service` (one request), the core,
//! and `upstream` (the core's door). Each worker thread has a runtime, a client and
//! so a connection pool of its own: a request stays on the thread that accepted it,
//! which spares the hand-overs, and scripts run on a stack of known size.

mod clients;
mod listener;
#[expect(clippy::disallowed_methods, reason = "rule files are read here")]
mod load;
mod log;
mod manners;
mod service;
mod store;
mod tls;
#[expect(clippy::disallowed_methods, reason = "secrets, script files and the time are read here")]
mod upstream;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicUsize},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, sync::watch};

pub use self::{
    load::{Loaded, bytes_beside, files, load, source, toml_files},
    log::{flush as flush_log, start as start_log},
    store::Store,
    tls::Certificate,
    upstream::{Secrets, Upstream},
};
use crate::{
    config::Settings,
    core::{CompiledRule, Routes},
};

/// The stack of a worker: what a script within its limits needs, many times over.
const WORKER_STACK: usize = 8 * 1024 * 1024;

/// What all workers share.
struct Shared {
    settings: Settings,
    routes: Routes<CompiledRule>,
    /// Requests on their way, in all workers together.
    in_flight: AtomicUsize,
    tls: Option<Arc<Certificate>>,
}

/// A server that is running.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

/// Binds the port and starts the workers.
///
/// # Errors
/// When the port cannot be bound, the certificate cannot be read, or a thread cannot be started.
pub fn start(settings: Settings, routes: Routes<CompiledRule>, secrets: &Secrets) -> Result<Running, String> {
    let listener = bind(settings.listen).map_err(|error| explain(settings.listen, &error))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let tls = settings.tls.as_ref().map(Certificate::read).transpose()?.map(Arc::new);
    let count = match settings.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let (stop, stopped) = watch::channel(false);
    let store = Store::with(&settings);
    let shared = Arc::new(Shared { settings, routes, in_flight: AtomicUsize::new(0), tls });
    let mut workers = Vec::with_capacity(count);
    for number in 0..count {
        let listener = listener.try_clone().map_err(|error| error.to_string())?;
        let upstream = Upstream::new(&shared.settings, secrets.clone(), store.clone())?;
        let (shared, stopped) = (shared.clone(), stopped.clone());
        let worker = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(WORKER_STACK)
            .spawn(move || work(listener, shared, upstream, stopped))
            .map_err(|error| format!("cannot start a worker: {error}"))?;
        workers.push(worker);
    }
    Ok(Running { address, stop, workers })
}

impl Running {
    /// The address that is bound; its port is real also if the settings said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets the requests on their way finish within `drain`, and returns.
    pub fn stop(self) {
        // Without a receiver the workers are gone already.
        let _ = self.stop.send(true);
        for worker in self.workers {
            // A panic of a worker was printed when it happened.
            let _ = worker.join();
        }
    }
}

/// One thread's life.
fn work(listener: TcpListener, shared: Arc<Shared>, upstream: Upstream, stopped: watch::Receiver<bool>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker cannot start"),
    };
    runtime.block_on(async {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener::accept(listener, shared, upstream, stopped).await,
            Err(error) => tracing::error!(%error, "a worker cannot listen"),
        }
    });
    // What is still there after the drain is cut off.
    runtime.shutdown_timeout(Duration::ZERO);
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
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
