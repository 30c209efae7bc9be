//! The core's door: calls by reqwest, secrets from the environment and from files.

use std::{
    collections::HashMap,
    error::Error,
    fs,
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderValue, header};
use reqwest::Client;
use rustls::AlertDescription;
use url::{Position, Url};

use super::{
    Store,
    clients::{self, Clients},
    clock,
    egress::{Barred, Lookup},
    manners::{Counts, Origin, asked_to_wait},
    otlp::Propagation,
};
use crate::{
    config::Settings,
    core::{
        Answer, FetchError, Host, MAX_SOURCE, Outgoing, Secret, SecretSource,
        identity::{Half, Identity},
        store::{Entry, Key, Seal},
    },
};

/// The longest secret in a file, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Where secrets come from.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// The environment and the files that rules name.
    Real,
    /// Every secret has a value that is none: for commands that only check rules.
    Placeholders,
    /// These, by the name of their environment variable: for the demo.
    Given(Arc<HashMap<String, Secret>>),
}

/// The native host. Clones have the same connections and the same store.
#[derive(Clone, Debug)]
pub struct Upstream {
    clients: Arc<Clients>,
    /// Pairs of origins as URLs write them: `https://host`, without a slash.
    reroute: Vec<(String, String)>,
    max_body: usize,
    rules: PathBuf,
    secrets: Secrets,
    store: Store,
    /// Who is told which trace a call belongs to, if anybody is.
    propagation: Option<Propagation>,
}

impl Upstream {
    /// A host with a connection pool of its own; the store is for all that are to share it.
    ///
    /// # Errors
    /// When the roots cannot be read, or the TLS library cannot be set up.
    pub fn new(settings: &Settings, secrets: Secrets, store: Store) -> Result<Self, String> {
        Upstream::with_lookup(settings, secrets, store, Lookup::system())
    }

    /// The same with another source of the addresses of names. They are judged as any.
    ///
    /// # Errors
    /// As [`new`](Upstream::new).
    pub fn with_lookup(settings: &Settings, secrets: Secrets, store: Store, lookup: Lookup) -> Result<Self, String> {
        let clients = Arc::new(Clients::new(settings, lookup)?);
        let reroute = settings.upstream.reroute.iter();
        Ok(Upstream {
            clients,
            reroute: reroute.map(|(from, to)| (from.to_string(), to.to_string())).collect(),
            max_body: settings.upstream.max_body,
            rules: settings.rules.clone(),
            secrets,
            store,
            propagation: Propagation::new(settings),
        })
    }

    /// A host that has kept nothing, but has the same connections and manners.
    pub(super) fn apart(&self) -> Self {
        Upstream { store: self.store.apart(), ..self.clone() }
    }

    /// What was counted of each origin that was asked, where the operator says that it is.
    pub(super) fn counts(&self) -> Vec<(Box<str>, Counts)> {
        self.store.manners.counts()
    }

    /// The origin that is asked in place of this one.
    pub(super) fn target(&self, origin: &str) -> String {
        let target = self.reroute.iter().find(|(from, _)| from == origin);
        target.map_or_else(|| origin.to_owned(), |(_, to)| to.clone())
    }

    /// Entries and bytes of the answers that are kept.
    pub(super) fn kept(&self) -> (u64, u64) {
        self.store.size()
    }

    /// Reads the certificates of upstreams again, if their files have changed; whether they have.
    ///
    /// # Errors
    /// Why new ones cannot be used; those that were read before still are.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        self.clients.refresh()
    }

    /// The same resource where the operator says that its origin is.
    fn lead(&self, url: Url) -> Url {
        let target = self.reroute.iter().find(|(from, _)| *from == url[..Position::BeforePath]);
        let Some((_, to)) = target else { return url };
        // Two sound URLs make a sound one.
        Url::parse(&format!("{to}{}", &url[Position::BeforePath..])).unwrap_or(url)
    }

    /// The head of an answer. A connection that the upstream closed while it lay idle is no failure: what does no
    /// harm when it comes twice is sent over another.
    async fn head(
        &self,
        client: &Client,
        request: reqwest::Request,
        sent: &Sent,
    ) -> Result<reqwest::Response, FetchError> {
        let error = match client.execute(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let again = sent.request.as_ref().filter(|sent| sent.method().is_idempotent() && was_closed(&error));
        match again.and_then(reqwest::Request::try_clone).filter(|_| sent.origin.may_repeat()) {
            Some(again) => client.execute(again).await.map_err(|error| fault(&error)),
            None => Err(fault(&error)),
        }
    }

    async fn exchange(&self, client: &Client, request: reqwest::Request, sent: &Sent) -> Result<Answer, FetchError> {
        let mut response = self.head(client, request, sent).await?;
        if response.content_length().is_some_and(|length| length > self.max_body as u64) {
            return Err(FetchError::TooLarge(self.max_body));
        }
        let body = self.receive(&mut response).await?;
        let body = match response.headers().get(header::CONTENT_ENCODING) {
            None => body,
            Some(encoding) => self.decompress(encoding, &body)?,
        };
        Ok(Answer { status: response.status(), headers: std::mem::take(response.headers_mut()), body })
    }

    /// Reads a body to its end. Most come in one piece, which is handed on as it is.
    async fn receive(&self, response: &mut reqwest::Response) -> Result<Bytes, FetchError> {
        let mut whole = BytesMut::new();
        let mut piece = Bytes::new();
        while let Some(next) = response.chunk().await.map_err(|error| fault(&error))? {
            if whole.len() + piece.len() + next.len() > self.max_body {
                return Err(FetchError::TooLarge(self.max_body));
            }
            whole.extend_from_slice(&piece);
            piece = next;
        }
        if whole.is_empty() {
            return Ok(piece);
        }
        whole.extend_from_slice(&piece);
        Ok(whole.freeze())
    }

    /// We ask for no encoding, but some providers compress whatever is asked.
    /// The limit holds for what comes out.
    fn decompress(&self, encoding: &HeaderValue, body: &[u8]) -> Result<Bytes, FetchError> {
        let limit = self.max_body as u64 + 1;
        let mut plain = Vec::new();
        let read = match encoding.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => return Ok(Bytes::copy_from_slice(body)),
            b"gzip" | b"x-gzip" => MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain),
            b"deflate" => ZlibDecoder::new(body).take(limit).read_to_end(&mut plain),
            _ => return Err(FetchError::Broken("its Content-Encoding is not known here".into())),
        };
        match read {
            Ok(length) if length > self.max_body => Err(FetchError::TooLarge(self.max_body)),
            Ok(_) => Ok(plain.into()),
            Err(_) => Err(FetchError::Broken("it cannot be decompressed".into())),
        }
    }
}

impl Host for Upstream {
    async fn fetch(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        let Outgoing { method, url, mut headers, body, timeout, identity, number } = outgoing;
        if let Some(propagation) = &self.propagation {
            propagation.tell(&mut headers, &url, number);
        }
        let mut request = reqwest::Request::new(method, self.lead(url));
        *request.headers_mut() = headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        let way = self.clients.way(request.url())?;
        let sent = Sent {
            origin: self.store.manners.of(&request.url()[..Position::BeforePath]),
            identity: identity.as_ref().map(|identity| identity.name()),
            request: request.try_clone(),
        };
        let pass = sent.origin.enter(clock, || sent.who(self.store.seal()?)).map_err(FetchError::Spared)?;
        let client = match identity {
            Some(identity) => self.clients.of(&identity, way)?,
            None => self.clients.plain(way),
        };
        let outcome = match timeout {
            Some(limit) => tokio::time::timeout(limit, self.exchange(&client, request, &sent))
                .await
                .unwrap_or(Err(FetchError::Timeout)),
            // The deadline of the whole request holds.
            None => self.exchange(&client, request, &sent).await,
        };
        if let Ok(answer) = &outcome
            && let Some(wait) = asked_to_wait(answer, Self::now())
            && let Some(who) = self.store.seal().and_then(|seal| sent.who(seal))
        {
            sent.origin.hold(who, wait, clock());
        }
        pass.end(&outcome);
        outcome
    }

    fn secret(&self, _: &str, source: &SecretSource) -> Result<Secret, String> {
        match (&self.secrets, source) {
            (Secrets::Placeholders, _) => Ok(Secret::stand_in()),
            (Secrets::Given(values), SecretSource::Env(name)) if values.contains_key(name) => Ok(values[name].clone()),
            (_, SecretSource::Env(name)) => environment(name),
            (_, SecretSource::File(path)) => file(path),
        }
    }

    fn check(&self, identity: &Identity) -> Result<(), (Half, String)> {
        match self.secrets {
            Secrets::Placeholders => Ok(()),
            Secrets::Real | Secrets::Given(_) => clients::check(identity),
        }
    }

    fn script(&self, name: &str) -> Result<String, String> {
        let path = self.rules.join(name);
        let length = fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if length > MAX_SOURCE as u64 {
            return Err(format!("it has {length} bytes"));
        }
        fs::read_to_string(&path).map_err(|error| error.to_string())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.store.get(key, make).await
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        self.store.forget(key, stale).await;
    }

    fn seal(&self) -> Option<&Seal> {
        self.store.seal()
    }

    async fn recall(&self, key: &Key) -> Option<Entry> {
        self.store.recall(key).await
    }

    async fn keep(&self, key: &Key, entry: Entry) {
        self.store.keep(key, entry).await;
    }

    fn may_repeat(&self, address: &Url) -> bool {
        let address = self.lead(address.clone());
        self.store.manners.of(&address[..Position::BeforePath]).may_repeat()
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(limit, work).await.ok()
    }

    async fn pause(&self, least: Duration) {
        // A hasher with fresh keys is as random as this has to be.
        let part = f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX);
        tokio::time::sleep(least.mul_f64(1.0 + part / 2.0)).await;
    }

    fn clock() -> Duration {
        clock()
    }

    fn now() -> Duration {
        // A clock before 1970 is wrong; nothing is valid then.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// What is remembered of a request while it is on its way.
struct Sent {
    origin: Arc<Origin>,
    identity: Option<Key>,
    request: Option<reqwest::Request>,
}

impl Sent {
    /// A name for whoever an upstream takes for the sender: all credentials, wherever they may stand.
    fn who(&self, seal: &Seal) -> Option<Key> {
        let request = self.request.as_ref()?;
        let headers = request.headers().iter().filter(|(_, value)| value.is_sensitive());
        let name = seal
            .name("sender")
            .list(headers.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]))
            .list(request.url().query())
            .list(request.body().and_then(reqwest::Body::as_bytes))
            .list(self.identity.as_ref().map(|identity| identity.bytes().to_owned()));
        Some(name.key())
    }
}

/// True if the other side closed the connection before a byte of its answer came, as one that was kept for too long.
fn was_closed(error: &reqwest::Error) -> bool {
    let mut inner: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = inner {
        let by_hyper = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        let by_socket = error.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind as K;
            matches!(error.kind(), K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe)
        });
        if by_hyper || by_socket {
            return true;
        }
        inner = error.source();
    }
    false
}

fn environment(name: &str) -> Result<Secret, String> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Err(format!("the environment variable {name} is empty")),
        Ok(value) => Ok(Secret::new(value)),
        Err(std::env::VarError::NotPresent) => Err(format!("there is no environment variable {name}")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8")),
    }
}

fn file(path: &str) -> Result<Secret, String> {
    let length = fs::metadata(path).map_err(|error| format!("{path}: {error}"))?.len();
    if length > MAX_SECRET {
        return Err(format!("{path} has {length} bytes, and a secret has at most {MAX_SECRET}"));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if value.is_empty() { Err(format!("{path} is empty")) } else { Ok(Secret::new(value)) }
}

/// What went wrong. The words are those of the innermost error: the outer ones name the URL, which may hold a token.
fn fault(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() && !error.is_connect() {
        return FetchError::Timeout;
    }
    let mut inner: &(dyn Error + 'static) = error;
    let mut refused = false;
    while let Some(source) = inner.source() {
        inner = source;
        if let Some(barred) = inner.downcast_ref::<Barred>() {
            return FetchError::Barred(barred.to_string());
        }
        refused |= alert(inner).is_some_and(is_about_us);
    }
    let words = if std::ptr::eq(std::ptr::from_ref(inner).cast::<u8>(), std::ptr::from_ref(error).cast::<u8>()) {
        "the exchange failed".to_owned()
    } else {
        inner.to_string()
    };
    match error.is_connect() {
        _ if refused => FetchError::Refused(words),
        true => FetchError::Connect(words),
        false => FetchError::Broken(words),
    }
}

/// The alert with which the upstream ended TLS.
fn alert(error: &(dyn Error + 'static)) -> Option<AlertDescription> {
    let mut error = error;
    // It is wrapped as a fault of the socket, whose `source` leaves out what it wraps.
    while let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        error = inner;
    }
    match error.downcast_ref() {
        Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    }
}

/// An upstream sends these of a certificate that we showed, or did not show (RFC 8446, section 6.2).
fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::CertificateRequired
            | A::DecryptError
    )
}
