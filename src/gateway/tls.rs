//! The certificate of the listener, read again when its files change.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// A certificate that can be exchanged while connections come in.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    current: Arc<Current>,
    seen: Mutex<Option<Stamp>>,
}

/// When the two files were last changed, and their sizes.
type Stamp = [(SystemTime, u64); 2];

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// When a file cannot be read, is no PEM, or key and certificate do not belong together.
    pub fn read(files: &Tls) -> Result<Self, String> {
        let current = Arc::new(Current(RwLock::new(read(files)?)));
        Ok(Certificate { files: files.clone(), current, seen: Mutex::new(stamp(files)) })
    }

    /// What performs handshakes with the certificate that is current then.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the cipher suites of TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
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
    }
}

fn stamp(files: &Tls) -> Option<Stamp> {
    let of = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    Some([of(&files.certificate)?, of(&files.key)?])
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
