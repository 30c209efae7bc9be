//! HTTP clients for upstreams: one for most calls, one for each kind of origins that the settings tell apart, and one
//! for each identity of ours, so that nothing is ever sent over a connection that was made as somebody else.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use reqwest::{Client, redirect::Policy};
use rustls::{
    ClientConfig, Error, RootCertStore, SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use url::{Position, Url};

use super::{
    egress::{Guard, Lookup, Proxies, Resolver},
    stamps::Stamps,
};
use crate::{
    config::{self, Allowed, OriginTls, Settings, TlsVersion},
    core::{
        FetchError,
        identity::{Half, Identity},
        store::Key,
    },
};

/// Idle connections that are kept for each upstream and worker.
const MAX_IDLE: usize = 256;
/// How long they are kept: less than most servers do, so that a request rarely meets one that was just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Identities that have a client; rules that were loaded again may leave some behind.
const MAX_IDENTITIES: usize = 256;

/// The clients of a host.
#[derive(Debug)]
pub(super) struct Clients {
    shared: Shared,
    /// The first is that of most origins.
    ways: Vec<Way>,
    /// The origins that have another way.
    origins: HashMap<Box<str>, usize>,
    /// By identity and way.
    others: Mutex<HashMap<(Key, usize), Client>>,
}

/// What all clients have in common.
#[derive(Debug)]
struct Shared {
    guard: Arc<Guard>,
    lookup: Lookup,
    proxies: Proxies,
    connect_timeout: Duration,
}

/// How connections to some origins are made.
#[derive(Debug)]
struct Way {
    /// The operator allows these origins: they are reached directly, whatever their address is.
    is_allowed: bool,
    trust: Trust,
    current: RwLock<Current>,
    stamps: Mutex<Stamps>,
}

/// What TLS is made of.
#[derive(Debug)]
struct Trust {
    roots: Option<PathBuf>,
    /// Those of the web are trusted as well.
    web: bool,
    /// The files of a certificate and its key.
    own: Option<(PathBuf, PathBuf)>,
    oldest: TlsVersion,
}

/// What came of the files as they were read last.
#[derive(Debug)]
struct Current {
    client: Client,
    roots: Arc<RootCertStore>,
}

/// Which way leads to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WayTo(usize);

impl Clients {
    /// The clients that the settings ask for; those of identities are made when they are wanted first.
    pub(super) fn new(settings: &Settings, lookup: Lookup) -> Result<Self, String> {
        let upstream = &settings.upstream;
        let proxies = Proxies::new(&upstream.proxy)?;
        let guard = Arc::new(Guard::new(&upstream.allow, &proxies));
        let shared = Shared { guard, lookup, proxies, connect_timeout: upstream.connect_timeout.0 };
        let mut ways = vec![Way::new(false, Trust::new(None, upstream)?, &shared)?];
        let mut known = BTreeMap::from([((None, false), 0)]);
        let mut origins = HashMap::new();
        for origin in special(upstream) {
            let (tls, is_allowed) = (upstream.tls.get(origin), is_allowed(upstream, origin));
            let way = match known.get(&(tls, is_allowed)) {
                Some(way) => *way,
                None => {
                    let trust =
                        Trust::new(tls, upstream).map_err(|why| format!("`upstream.tls` of {origin}: {why}"))?;
                    ways.push(Way::new(is_allowed, trust, &shared)?);
                    known.insert((tls, is_allowed), ways.len() - 1);
                    ways.len() - 1
                }
            };
            origins.insert(origin.to_string().into(), way);
        }
        Ok(Clients { shared, ways, origins, others: Mutex::default() })
    }

    /// The way to a URL.
    ///
    /// # Errors
    /// When its host is an address that is not reached. One that is a name is looked at when a connection is made.
    pub(super) fn way(&self, url: &Url) -> Result<WayTo, FetchError> {
        let way = match self.origins.is_empty() {
            true => 0,
            false => self.origins.get(&url[..Position::BeforePath]).copied().unwrap_or_default(),
        };
        if !self.ways[way].is_allowed {
            self.shared.guard.admit(url).map_err(|barred| FetchError::Barred(barred.to_string()))?;
        }
        Ok(WayTo(way))
    }

    /// The client for calls that show nothing of the rule's.
    pub(super) fn plain(&self, WayTo(way): WayTo) -> Client {
        self.ways[way].current.read().unwrap_or_else(PoisonError::into_inner).client.clone()
    }

    /// The client of an identity.
    pub(super) fn of(&self, identity: &Identity, WayTo(number): WayTo) -> Result<Client, FetchError> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (identity.name(), number);
        if let Some(client) = others.get(&name) {
            return Ok(client.clone());
        }
        // It was checked when the rule was loaded.
        let own = certified(identity).map_err(|(_, why)| FetchError::Connect(why))?;
        let way = &self.ways[number];
        let roots = way.current.read().unwrap_or_else(PoisonError::into_inner).roots.clone();
        let client =
            self.shared.client(way.is_allowed, way.trust.tls(roots, Some(own))).map_err(FetchError::Connect)?;
        if others.len() == MAX_IDENTITIES {
            others.clear();
        }
        others.insert(name, client.clone());
        Ok(client)
    }

    /// Reads files again that have changed: whether there were any, or why they cannot be used, while what was read
    /// before still is.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        let mut changed = false;
        for (number, way) in self.ways.iter().enumerate() {
            if way.refresh(&self.shared)? {
                changed = true;
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                others.retain(|(_, of), _| *of != number);
            }
        }
        Ok(changed)
    }
}

/// The origins that the settings tell apart.
fn special(upstream: &config::Upstream) -> impl Iterator<Item = &config::Origin> {
    let allowed = upstream.allow.iter().filter_map(|allowed| match allowed {
        Allowed::Origin(origin) => Some(origin),
        Allowed::Network(_) => None,
    });
    upstream.tls.keys().chain(allowed).chain(upstream.reroute.values())
}

/// True for an origin that the operator names as one to go to.
fn is_allowed(upstream: &config::Upstream, origin: &config::Origin) -> bool {
    upstream.allow.contains(&Allowed::Origin(origin.clone())) || upstream.reroute.values().any(|to| to == origin)
}

impl Shared {
    fn client(&self, is_allowed: bool, tls: Result<ClientConfig, String>) -> Result<Client, String> {
        let fault = |error: reqwest::Error| format!("cannot set up the HTTP client: {error}");
        let client = Client::builder()
            .tls_backend_preconfigured(tls?)
            // A proxy from the environment would see whom we ask.
            .no_proxy()
            // The core follows redirects, if the rule says so.
            .redirect(Policy::none())
            .referer(false)
            .dns_resolver(Resolver { lookup: self.lookup.clone(), guard: (!is_allowed).then(|| self.guard.clone()) })
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE_TIMEOUT);
        let client = if is_allowed { client } else { self.proxies.apply(client).map_err(fault)? };
        client.build().map_err(fault)
    }
}

impl Way {
    fn new(is_allowed: bool, trust: Trust, shared: &Shared) -> Result<Self, String> {
        // Before anything is read: what changes meanwhile shows at the next look.
        let stamps = Mutex::new(Stamps::of_files(trust.files()));
        let current = RwLock::new(trust.read(is_allowed, shared)?);
        Ok(Way { is_allowed, trust, current, stamps })
    }

    /// Whether files have changed, and were read.
    fn refresh(&self, shared: &Shared) -> Result<bool, String> {
        let now = Stamps::of_files(self.trust.files());
        let mut seen = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        // Connections that are open serve on; what is made anew is made with what is new.
        let current = self.trust.read(self.is_allowed, shared)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(true)
    }
}

impl Trust {
    fn new(tls: Option<&OriginTls>, upstream: &config::Upstream) -> Result<Self, String> {
        let own = match tls.map(|tls| (tls.certificate.clone(), tls.key.clone())) {
            None | Some((None, None)) => None,
            Some((Some(certificate), Some(key))) => Some((certificate, key)),
            Some(_) => return Err("`certificate` and `key` belong together".into()),
        };
        let only = tls.and_then(|tls| tls.roots.clone());
        Ok(Trust {
            web: only.is_none(),
            roots: only.or_else(|| upstream.roots.clone()),
            own,
            oldest: tls.and_then(|tls| tls.min_tls).unwrap_or(upstream.min_tls),
        })
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.roots.iter().chain(self.own.iter().flat_map(|(certificate, key)| [certificate, key]))
    }

    fn read(&self, is_allowed: bool, shared: &Shared) -> Result<Current, String> {
        let roots = Arc::new(roots(self.roots.as_deref(), self.web)?);
        let own = self.own.as_ref().map(|(certificate, key)| pair(certificate, key)).transpose()?;
        let client = shared.client(is_allowed, self.tls(roots.clone(), own))?;
        Ok(Current { client, roots })
    }

    /// TLS; certificates of upstreams are always verified.
    fn tls(&self, roots: Arc<RootCertStore>, own: Option<CertifiedKey>) -> Result<ClientConfig, String> {
        let versions: &[&'static SupportedProtocolVersion] = match self.oldest {
            TlsVersion::V12 => &[&TLS13, &TLS12],
            TlsVersion::V13 => &[&TLS13],
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| format!("cannot set up TLS: {error}"))?
            .with_root_certificates(roots);
        let shows = own.is_some();
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let own: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(own));
                config.with_client_cert_resolver(own)
            }
        };
        config.alpn_protocols = match shows {
            // Over HTTP/2 the alert by which a certificate is refused gets lost, and with it the reason.
            true => vec![b"http/1.1".to_vec()],
            false => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(config)
    }
}

/// Whether connections can be made with an identity; which half is wrong otherwise, and why.
pub(super) fn check(identity: &Identity) -> Result<(), (Half, String)> {
    certified(identity).map(|_| ())
}

/// The words are ours: those of the library hold lines of what it read.
fn certified(identity: &Identity) -> Result<CertifiedKey, (Half, String)> {
    let fault = |half, why: &str| Err((half, why.to_owned()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate().as_bytes()).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => return fault(Half::Certificate, "it holds no certificate"),
        Err(_) => return fault(Half::Certificate, "it is not PEM"),
    };
    let Ok(key) = PrivateKeyDer::from_pem_slice(identity.key().as_bytes()) else {
        return fault(Half::Key, "it holds no private key");
    };
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(own) => Ok(own),
        Err(Error::InconsistentKeys(_)) => fault(Half::Key, "it does not fit the certificate"),
        Err(Error::InvalidCertificate(_)) => fault(Half::Certificate, "the certificate is broken"),
        Err(_) => fault(Half::Key, "it is of no kind that can be used"),
    }
}

/// A certificate and its key from files.
fn pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|error| format!("cannot use {}: {error}", path.display()));
    certified(&Identity::new(read(certificate)?, read(key)?)).map_err(|(half, why)| {
        let path = match half {
            Half::Certificate => certificate,
            Half::Key => key,
        };
        format!("cannot use {}: {why}", path.display())
    })
}

/// The roots of the web, if they are wanted, and those of the operator.
fn roots(file: Option<&Path>, web: bool) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore { roots: if web { webpki_roots::TLS_SERVER_ROOTS.to_vec() } else { Vec::new() } };
    let Some(file) = file else { return Ok(roots) };
    let fault = |why: String| format!("cannot use the roots in {}: {why}", file.display());
    let own = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if own.is_empty() {
        return Err(fault("it holds no certificate".into()));
    }
    for certificate in own {
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_clients_are_kept_than_there_may_be_identities() {
        let clients = Clients::new(&Settings::default(), Lookup::system()).expect("clients can be made");
        let way = WayTo(0);
        for number in 0..MAX_IDENTITIES {
            let name = Key::new("another", &[&number.to_string()]);
            clients.others.lock().expect("nobody else has it").insert((name, 0), clients.plain(way));
        }
        let own = rcgen::generate_simple_self_signed(["claimsmith".to_owned()]).expect("a certificate can be made");
        let identity = Identity::new(own.cert.pem(), own.signing_key.serialize_pem());
        for _ in 0..2 {
            clients.of(&identity, way).expect("a client can be made");
            assert_eq!(clients.others.lock().expect("nobody else has it").len(), 1);
        }
    }
}
