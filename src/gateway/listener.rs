//! Connections: accepted up to a bound, served over HTTP/1.1 or HTTP/2, and closed gracefully.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{interval, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    BACKLOG, Shared, Upstream,
    access::{Peer, read_proxy_header},
    connection::{self, End, Limits},
    metrics::Kept,
    service::Service,
};
use crate::config::Settings;

/// The least that hyper reads a head into.
const LEAST_HEAD: usize = 8 * 1024;
/// Headers that hyper has room for without asking for memory for each request.
const USUAL_HEADERS: usize = 100;
/// Bytes that one HTTP/2 stream, and one connection, may send before they are read.
const STREAM_WINDOW: u32 = 64 * 1024 - 1;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How often an HTTP/2 connection is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// How often the files of the certificate are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long accepting pauses when the process is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How long connections may still be used when nobody listens any more. Each answer asks its client to close, so
/// that hardly any is closed by us while a request is on its way here.
const LINGER: Duration = Duration::from_secs(1);

/// What a worker needs to take a connection.
struct Desk {
    /// The number of the worker.
    worker: usize,
    shared: Arc<Shared>,
    service: Arc<Service>,
    server: Arc<auto::Builder<TokioExecutor>>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    /// Becomes true when connections are to be closed; each holds a receiver.
    closing: watch::Sender<bool>,
}

/// Accepts connections until told to stop, then waits for those that are open.
pub(super) async fn accept(
    listener: TcpListener,
    number: usize,
    shared: Arc<Shared>,
    upstream: Upstream,
    mut stopped: watch::Receiver<bool>,
) {
    let desk = Desk {
        worker: number,
        service: Arc::new(Service::new(number, shared.clone(), upstream)),
        server: Arc::new(server(&shared.settings)),
        tls: shared.tls.as_ref().map(|certificate| certificate.acceptor()),
        limits: Limits::new(&shared.settings),
        closing: watch::Sender::new(false),
        shared,
    };
    let mut look = interval(LOOK);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Also without a certificate. A timer that is due before all others wakes the runtime by a system call
            // when it is set: with this one there, the deadline of a request hardly ever is.
            _ = look.tick() => {
                desk.shared.tls.iter().for_each(|certificate| certificate.refresh());
                desk.service.refresh();
                desk.shared.workers[number].show();
                continue;
            }
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, from)) => desk.take(stream, from),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
    desk.take_rest(listener);
    desk.shared.listening.fetch_sub(1, Ordering::Relaxed);
    let drain = desk.shared.workers[number].set().settings.drain.0;
    if timeout(drain, desk.leave(LINGER.min(drain / 2))).await.is_err() {
        tracing::warn!("requests were still on their way when the drain time ended");
    }
}

impl Desk {
    /// Serves a connection, unless there are too many, or it comes from where nobody may ask.
    fn take(&self, mut stream: TcpStream, from: SocketAddr) {
        let tally = &self.shared.tally;
        tally.accepted.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.shared.clone());
        if self.shared.connections.fetch_add(1, Ordering::Relaxed) >= self.shared.settings.max_connections {
            // Dropping both gives the place back and closes the connection.
            tally.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let from = from.ip().to_canonical();
        let access = self.shared.workers[self.worker].set().access.clone();
        if access.as_ref().is_some_and(|access| !access.may_connect(from)) {
            tally.turn_away(Kept::Out);
            return;
        }
        let proxied = access.is_some_and(|access| access.is_proxied(from));
        // Answers are small and written at once; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let (service, server, tls) = (self.service.clone(), self.server.clone(), self.tls.clone());
        let (closing, limits) = (self.closing.subscribe(), self.limits);
        spawn(async move {
            let peer = match proxied {
                false => Some(Peer::new(from)),
                true => introduced(&mut stream, from, limits.head).await,
            };
            let Some(peer) = peer else { return seat.0.tally.turn_away(Kept::Unintroduced) };
            let end = match tls {
                None => connection::serve(&server, stream, service, closing, limits, peer).await,
                Some(tls) => match handshake(&tls, stream, limits.head).await {
                    Some(stream) => {
                        let peer = peer.showing(stream.get_ref().1.peer_certificates());
                        connection::serve(&server, stream, service, closing, limits, peer).await
                    }
                    None => End::Closed,
                },
            };
            if end == End::Expired {
                seat.0.tally.expired.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Closes the port. Who waits to be accepted was told that the connection is there, so it is taken first. The
    /// system is asked itself: what the runtime has not heard of yet is there too.
    fn take_rest(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG {
            let Ok((stream, from)) = listener.accept() else { return };
            if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                self.take(stream, from);
            }
        }
    }

    /// Waits for the connections that are open: first for those that close by themselves, then for all.
    async fn leave(&self, linger: Duration) {
        if timeout(linger, self.closing.closed()).await.is_err() {
            self.closing.send_replace(true);
            self.closing.closed().await;
        }
    }
}

/// A connection's place among those that may be open.
struct Seat(Arc<Shared>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn server(settings: &Settings) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    let head = settings.max_request_head.max(LEAST_HEAD);
    server.http1().max_buf_size(head).header_read_timeout(None);
    if settings.max_request_headers > USUAL_HEADERS {
        server.http1().max_headers(settings.max_request_headers);
    }
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_streams)
        .max_pending_accept_reset_streams(settings.max_resets)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(PING));
    server
}

/// Who is behind a proxy that has to say so first.
async fn introduced(stream: &mut TcpStream, proxy: IpAddr, limit: Duration) -> Option<Peer> {
    match read_proxy_header(stream, proxy, limit).await {
        Ok(peer) => Some(peer),
        Err(error) => {
            tracing::debug!(%error, "a trusted proxy does not say by the PROXY protocol whose its connection is");
            None
        }
    }
}

async fn handshake(tls: &TlsAcceptor, stream: TcpStream, limit: Duration) -> Option<TlsStream<TcpStream>> {
    match timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "connections are the one thing that runs by itself")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}
