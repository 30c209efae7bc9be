//! Who we are where a connection is made: a certificate and its key (RFC 8705).

use std::fmt;

use super::{secret::Secret, store::Key};

/// A certificate chain and the private key of its first certificate, both PEM.
///
/// A host checks it when a rule is loaded, and makes connections with it that are used for nothing else.
pub struct Identity {
    certificate: Secret,
    key: Secret,
    name: Key,
}

/// One of the two texts of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
}

impl Identity {
    /// An identity of two PEM texts.
    pub fn new(certificate: impl Into<Box<str>>, key: impl Into<Box<str>>) -> Self {
        let (certificate, key) = (Secret::new(certificate), Secret::new(key));
        let name = Key::new("identity", &[certificate.expose(), key.expose()]);
        Identity { certificate, key, name }
    }

    /// The certificate chain.
    pub fn certificate(&self) -> &str {
        self.certificate.expose()
    }

    /// The private key.
    pub fn key(&self) -> &str {
        self.key.expose()
    }

    /// Its name among others: equal for equal texts, and nothing can be learnt from it.
    pub fn name(&self) -> Key {
        self.name
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}
