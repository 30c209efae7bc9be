//! One connection: served until it ends, is too slow, idles too long, or the process stops.
//!
//! hyper's own limit for a head counts idle time too and does not see a connection that says nothing at all, so
//! the stream and the service tell here what goes on, and one timer a connection looks at it now and then.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::{sleep, timeout},
};

use super::{access::Peer, clock, service::Service};
use crate::config::Settings;

/// How long a connection may be slow or idle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the first byte of a request to the end of its head.
    pub(super) head: Duration,
    /// Without a request.
    pub(super) idle: Duration,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Self {
        Limits { head: settings.head_timeout.0, idle: settings.idle_timeout.0 }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Closed,
    /// It was slow or idle for too long.
    Expired,
}

/// Serves a connection to its end. A change of `closing` lets it finish what runs and close.
pub(super) async fn serve<S>(
    server: &auto::Builder<TokioExecutor>,
    stream: S,
    service: Arc<Service>,
    mut closing: watch::Receiver<bool>,
    limits: Limits,
    peer: Peer,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let stream = Watched { stream, start: Start::default(), activity: activity.clone() };
    let doings = activity.clone();
    let respond = service_fn(move |request: hyper::Request<Incoming>| {
        service.clone().respond(request, doings.clone(), peer.clone())
    });
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), respond));
    let mut leaving = false;
    let mut expiry = pin!(expire(&activity, limits));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // The client went away or sent no HTTP: its own doing, and of interest only when looking for it.
                    tracing::debug!(%error, "a connection ended early");
                }
                return End::Closed;
            }
            () = told(&mut closing), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = expiry.as_mut() => {
                if activity.http2.load(Ordering::Relaxed) {
                    // There a client can be told, so that what it is about to send is not lost.
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(limits.head, connection.as_mut()).await;
                }
                return End::Expired;
            }
        }
    }
}

/// Ends when connections are to be closed, or nobody is left to say so.
async fn told(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Ends when the connection has been slow or idle for too long.
async fn expire(activity: &Activity, limits: Limits) {
    while let Some(left) = activity.left(limits, clock()) {
        sleep(left).await;
    }
}

/// What goes on on a connection. Times are nanoseconds of the clock; 0 is none.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests that are on their way.
    open: AtomicUsize,
    /// When a head that is not yet whole began.
    head: AtomicU64,
    /// When the last request ended, or the connection began.
    idle: AtomicU64,
    http2: AtomicBool,
}

/// A request that is on its way, until this is dropped.
pub(super) struct Open<'a>(&'a Activity);

impl Activity {
    fn new() -> Self {
        Activity {
            open: AtomicUsize::new(0),
            head: AtomicU64::new(0),
            idle: AtomicU64::new(nanos(clock())),
            http2: AtomicBool::new(false),
        }
    }

    /// A request has come.
    pub(super) fn open(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        Open(self)
    }

    /// Bytes have come. They begin a head if no request is on its way and none has begun.
    fn read(&self) {
        if self.open.load(Ordering::Relaxed) == 0 && self.head.load(Ordering::Relaxed) == 0 {
            self.head.store(nanos(clock()).max(1), Ordering::Relaxed);
        }
    }

    /// How long to wait before it is worth to look again; `None` if the time is up.
    fn left(&self, limits: Limits, now: Duration) -> Option<Duration> {
        if self.open.load(Ordering::Relaxed) > 0 {
            return Some(limits.head.max(LEAST));
        }
        let end = match self.head.load(Ordering::Relaxed) {
            0 => Duration::from_nanos(self.idle.load(Ordering::Relaxed)) + limits.idle,
            began => Duration::from_nanos(began) + limits.head,
        };
        let left = end.checked_sub(now).filter(|left| !left.is_zero())?;
        // A head may begin at any time: looking this often, its end is never missed.
        Some(left.min(limits.head).max(LEAST))
    }
}

/// The timer's resolution: shorter waits would only spin.
const LEAST: Duration = Duration::from_millis(1);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.idle.store(nanos(clock()), Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A stream that tells when bytes come.
struct Watched<S> {
    stream: S,
    start: Start,
    activity: Arc<Activity>,
}

/// The first bytes of a connection, by which HTTP/2 is known: there bytes may come that begin no request.
#[derive(Debug, Default)]
struct Start {
    bytes: [u8; 3],
    length: usize,
}

impl Start {
    fn is_http2(&mut self, new: &[u8]) -> bool {
        for byte in new.iter().take(self.bytes.len() - self.length) {
            self.bytes[self.length] = *byte;
            self.length += 1;
        }
        // No method begins so.
        &self.bytes == b"PRI"
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            match self.start.is_http2(new) {
                true => self.activity.http2.store(true, Ordering::Relaxed),
                false => self.activity.read(),
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn activity(open: usize, head: u64, idle: u64) -> Activity {
        Activity {
            open: AtomicUsize::new(open),
            head: AtomicU64::new(nanos(at(head))),
            idle: AtomicU64::new(nanos(at(idle))),
            http2: AtomicBool::new(false),
        }
    }

    #[test]
    fn a_slow_head_and_an_idle_connection_end_and_a_request_does_not() {
        for (what, activity, now, left) in [
            ("idle, looked at again before a head could have ended", activity(0, 0, 100), 101, Some(10)),
            ("idle, near the end", activity(0, 0, 100), 170, Some(5)),
            ("idle for too long", activity(0, 0, 100), 175, None),
            ("a head that has begun", activity(0, 170, 100), 172, Some(8)),
            ("a head that began late may be finished", activity(0, 174, 100), 180, Some(4)),
            ("a head that took too long", activity(0, 170, 100), 180, None),
            ("a request on its way", activity(1, 0, 100), 900, Some(10)),
        ] {
            assert_eq!(activity.left(LIMITS, at(now)), left.map(at), "{what}");
        }
    }

    #[test]
    fn requests_are_seen_to_begin_and_end() {
        let activity = Activity::new();
        activity.read();
        assert!(activity.head.load(Ordering::Relaxed) > 0, "bytes began a head");
        let (first, second) = (activity.open(), activity.open());
        activity.read();
        assert_eq!(activity.head.load(Ordering::Relaxed), 0, "these bytes belong to a request");
        drop(first);
        assert_eq!(activity.open.load(Ordering::Relaxed), 1);
        drop(second);
        assert_eq!(activity.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn http_2_is_known_by_its_first_bytes() {
        for (pieces, http2) in [
            (&["PRI * HTTP/2.0"][..], true),
            (&["P", "RI", " * HTTP/2.0"], true),
            (&["PUT / HTTP/1.1"], false),
            (&["P", "O", "ST"], false),
        ] {
            let mut start = Start::default();
            let known = pieces.iter().map(|piece| start.is_http2(piece.as_bytes())).last();
            assert_eq!(known, Some(http2), "{pieces:?}");
        }
    }
}
