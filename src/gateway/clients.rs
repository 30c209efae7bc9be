//! HTTP clients for upstreams: one for most calls, and one for each identity of ours, so that nothing is ever sent
//! over a connection that was made as somebody else.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, redirect::Policy};
use rustls::{
    ClientConfig, Error, RootCertStore,
    client::ResolvesClientCert,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};

use crate::{
    config::Settings,
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
    plain: Client,
    roots: Arc<RootCertStore>,
    connect_timeout: Duration,
    others: Mutex<HashMap<Key, Client>>,
}

impl Clients {
    /// The client for most calls; those of identities are made when they are wanted first.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let roots = Arc::new(roots(settings.upstream.roots.as_deref())?);
        let connect_timeout = settings.upstream.connect_timeout.0;
        let plain = client(roots.clone(), None, connect_timeout)?;
        Ok(Clients { plain, roots, connect_timeout, others: Mutex::default() })
    }

    /// The client for calls that show nothing.
    pub(super) fn plain(&self) -> &Client {
        &self.plain
    }

    /// The client of an identity.
    pub(super) fn of(&self, identity: &Identity) -> Result<Client, FetchError> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(&identity.name()) {
            return Ok(client.clone());
        }
        // It was checked when the rule was loaded.
        let own = certified(identity).map_err(|(_, why)| FetchError::Connect(why))?;
        let client =
            client(self.roots.clone(), Some(Arc::new(own)), self.connect_timeout).map_err(FetchError::Connect)?;
        if others.len() == MAX_IDENTITIES {
            others.clear();
        }
        others.insert(identity.name(), client.clone());
        Ok(client)
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

fn client(
    roots: Arc<RootCertStore>,
    own: Option<Arc<CertifiedKey>>,
    connect_timeout: Duration,
) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(tls(roots, own)?)
        // A proxy from the environment would see every token.
        .no_proxy()
        // The core follows redirects, if the rule says so.
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(MAX_IDLE)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build()
        .map_err(|error| format!("cannot set up the HTTP client: {error}"))
}

/// TLS; certificates of upstreams are always verified.
fn tls(roots: Arc<RootCertStore>, own: Option<Arc<CertifiedKey>>) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
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

/// The roots of the web, and those of the operator.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
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
        let clients = Clients::new(&Settings::default()).expect("clients can be made");
        for number in 0..MAX_IDENTITIES {
            let name = Key::new("another", &[&number.to_string()]);
            clients.others.lock().expect("nobody else has it").insert(name, clients.plain.clone());
        }
        let own = rcgen::generate_simple_self_signed(["claimsmith".to_owned()]).expect("a certificate can be made");
        let identity = Identity::new(own.cert.pem(), own.signing_key.serialize_pem());
        for _ in 0..2 {
            clients.of(&identity).expect("a client can be made");
            assert_eq!(clients.others.lock().expect("nobody else has it").len(), 1);
        }
    }
}
