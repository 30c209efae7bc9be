//! Connections: accepted, served over HTTP/1.1 or HTTP/2, and closed gracefully.

use std::{sync::Arc, time::Duration};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{interval, sleep, timeout},
};

use super::{Shared, Upstream, service::Service};

/// The time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time from one HTTP/1.1 request to the whole head of the next. hyper counts idle time too, and load
/// balancers keep connections for 60 seconds: closing first would fail the request that they are about to send.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Requests that one HTTP/2 connection may have on their way.
const MAX_STREAMS: u32 = 256;
/// Bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// How often the files of the certificate are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long accepting pauses when the process is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until told to stop, then waits for those that are open.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    upstream: Upstream,
    mut stopped: watch::Receiver<bool>,
) {
    let drain = shared.settings.drain.0;
    let certificate = shared.tls.clone();
    let tls = certificate.as_ref().map(|certificate| certificate.acceptor());
    let service = Arc::new(Service::new(shared, upstream));
    let server = Arc::new(server());
    let graceful = GracefulShutdown::new();
    let mut look = interval(LOOK);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Also without a certificate. A timer that is due before all others wakes the runtime by a system call
            // when it is set: with this one there, the deadline of a request hardly ever is.
            _ = look.tick() => {
                certificate.iter().for_each(|certificate| certificate.refresh());
                continue;
            }
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        // Answers are small and written at once; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let (service, server, tls, watcher) = (service.clone(), server.clone(), tls.clone(), graceful.watcher());
        spawn(async move {
            match tls {
                None => serve(&server, stream, service, watcher).await,
                Some(tls) => {
                    if let Some(stream) = handshake(&tls, stream).await {
                        serve(&server, stream, service, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still on their way when the drain time ended");
    }
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    server
}

async fn handshake(
    tls: &tokio_rustls::TlsAcceptor,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

async fn serve<S>(
    server: &auto::Builder<TokioExecutor>,
    stream: S,
    service: Arc<Service>,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let respond = service_fn(move |request: hyper::Request<Incoming>| service.clone().respond(request));
    let connection = server.serve_connection(TokioIo::new(stream), respond);
    if let Err(error) = watcher.watch(connection).await {
        // The client went away or sent no HTTP: its own doing, and of interest only when looking for it.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[expect(clippy::disallowed_methods, reason = "connections are the one thing that runs by itself")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}
