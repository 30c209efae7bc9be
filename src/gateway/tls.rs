//! The certificate of the listener and the authorities of its clients, read again when their files change.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientAuth, Tls};

/// A certificate that can be exchanged while connections come in.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    current: Arc<Current>,
    clients: Option<Arc<Clients>>,
    seen: Mutex<Option<Stamp>>,
}

/// When the files were last changed, and their sizes.
type Stamp = Vec<(SystemTime, u64)>;

/// Verifies clients by the authorities that are current.
#[derive(Debug)]
struct Clients {
    current: RwLock<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
}

impl Clients {
    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// None: clients have one certificate to show, and the names of authorities may change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current().verify_client_cert(own, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// Reads the certificate and its key, and the authorities of clients.
    ///
    /// # Errors
    /// When a file cannot be read, is no PEM, or key and certificate do not belong together.
    pub fn read(files: &Tls) -> Result<Self, String> {
        let stamp = stamp(files);
        let current = Arc::new(Current(RwLock::new(read(files)?)));
        let clients = verifier(files)?.map(|verifier| {
            let mandatory = files.client_auth == ClientAuth::Required;
            Arc::new(Clients { current: RwLock::new(verifier), mandatory })
        });
        Ok(Certificate { files: files.clone(), current, clients, seen: Mutex::new(stamp) })
    }

    /// What performs handshakes with the certificate that is current then.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let verifier: Arc<dyn ClientCertVerifier> = match &self.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(clients) => clients.clone(),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the cipher suites of TLS 1.2 and 1.3")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.current.clone());
        if self.clients.is_some() {
            // A session that is resumed would not be verified again, though authorities may have changed.
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Reads the files again if they changed. A broken pair is reported once, and the old one stays.
    pub(super) fn refresh(&self) {
        let now = stamp(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_none() || *seen == now {
            return;
        }
        *seen = now;
        match read(&self.files) {
            Ok(key) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = key;
                tracing::info!("the certificate was read again");
            }
            Err(why) => tracing::error!("the new certificate is not used, the old one stays: {why}"),
        }
        match (&self.clients, verifier(&self.files)) {
            (Some(clients), Ok(Some(verifier))) => {
                *clients.current.write().unwrap_or_else(PoisonError::into_inner) = verifier;
                tracing::info!("the authorities of clients were read again");
            }
            (_, Ok(_)) => {}
            (_, Err(why)) => tracing::error!("the new authorities of clients are not used, the old ones stay: {why}"),
        }
    }
}

fn stamp(files: &Tls) -> Option<Stamp> {
    let of = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    [&files.certificate, &files.key].into_iter().chain(&files.client_roots).map(|path| of(path)).collect()
}

fn read(files: &Tls) -> Result<Arc<CertifiedKey>, String> {
    let fault = |path: &Path, why: String| format!("cannot use {}: {why}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(fault(&files.certificate, "it holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault(&files.key, error.to_string()))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| fault(&files.key, error.to_string()))?;
    Ok(Arc::new(key))
}

/// What verifies clients, if they are asked for a certificate.
fn verifier(files: &Tls) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let Some(path) = &files.client_roots else { return Ok(None) };
    let fault = |why: String| format!("cannot use {} for `tls.client_roots`: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
        let root = root.map_err(|error| fault(error.to_string()))?;
        roots.add(root).map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fault("it holds no certificate".into()));
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build();
    verifier.map(Some).map_err(|error| fault(error.to_string()))
}
