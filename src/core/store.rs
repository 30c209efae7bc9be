//! What a host keeps between requests, for all of them: it cost a round trip, and is the same for every caller.

use std::{fmt, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use super::{jose::KeySet, secret::Secret};

/// Names an entry by everything that went into it, without saying any of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Something that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is.
    pub value: Stored,
    /// How long it may be used, from when it was made.
    pub lifetime: Duration,
}

/// The kinds of things that are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// An access token of our own, from a token endpoint (RFC 6749, section 4.4).
    AccessToken(Secret),
    /// The public keys of an issuer, and when they were fetched, since 1970.
    KeySet {
        /// The keys.
        keys: Arc<KeySet>,
        /// When they came.
        fetched: Duration,
    },
    /// Something was done, and is not to be done again for a while.
    Done,
}

impl Key {
    /// The key of what these parts make; `kind` keeps different things apart.
    pub fn new(kind: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&kind).chain(parts) {
            // With its length before it, no part can pass for two.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Key(hash.finalize().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be made of secrets that could be guessed from their hash.
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_parts_apart() {
        let keys = [
            Key::new("token", &["ab", "c"]),
            Key::new("token", &["a", "bc"]),
            Key::new("token", &["abc"]),
            Key::new("token", &["abc", ""]),
            Key::new("keys", &["ab", "c"]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != key), "{at}");
        }
        assert_eq!(Key::new("token", &["ab", "c"]), keys[0]);
    }
}
