//! A certificate authority of a test's own.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;

/// Issues certificates that only those trust who trust it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// What a server wants of its clients.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// No certificate.
    Anybody,
    /// A certificate, if they have one.
    MayShow,
    /// A certificate.
    MustShow,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no name is wrong");
        // Others must be able to tell it from its like.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate can be made");
        Authority { issuer, folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// A certificate for a name or an address.
    pub fn issue(&self, name: &str) -> Pair {
        self.issue_as(name, |_| {})
    }

    /// The same with something changed.
    pub fn issue_as(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a sound name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Its own certificate.
    pub fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.issuer
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        let path = self.folder.path().join("roots.pem");
        std::fs::write(&path, self.issuer.pem()).expect("the folder can be written to");
        path
    }

    /// A server on the loopback interface, with these versions of TLS.
    pub fn server(&self, clients: Clients, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        self.server_as(&self.issue("127.0.0.1"), clients, versions)
    }

    /// The same with this certificate.
    pub fn server_as(
        &self,
        own: &Pair,
        clients: Clients,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is a certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = match clients {
            Clients::Anybody => WebPkiClientVerifier::no_client_auth(),
            Clients::MayShow => verifier.allow_unauthenticated().build().expect("it has roots"),
            Clients::MustShow => verifier.build().expect("it has roots"),
        };
        let chain = CertificateDer::pem_slice_iter(own.certificate.as_bytes()).map(|own| own.expect("it is PEM"));
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it is PEM");
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("ring knows the versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.collect(), key)
            .expect("they belong together")
    }
}

impl Pair {
    /// The certificate as it is sent.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("it is PEM")
    }
}
