//! What a host keeps between requests, and the names under which it does.
//!
//! Some of it is ours, cost a round trip, and is the same for every caller: tokens of our own, keys of issuers. The rest
//! came of somebody's request, and must never be met by anybody else's. Its names are made with a [`Seal`] of all that
//! went into the request.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{jose::KeySet, message::Answer, secret::Secret};

/// Names an entry by everything that went into it, without saying any of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    name: [u8; 32],
    kind: Kind,
}

/// What is kept under a key. A host may keep the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What is ours: a handful of entries, that should stay.
    Ours,
    /// What came of somebody's request: many, some of them large, and each may go at any time.
    Answer,
    /// The same while the request is on its way, for those who send the same meanwhile.
    Flight,
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is.
    pub value: Stored,
    /// How long it may be used, from when it was made.
    pub lifetime: Duration,
}

/// The kinds of things that are kept.
#[derive(Clone, PartialEq)]
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
    /// What an upstream answered.
    Answer {
        /// The answer, of whose headers only those are kept that are read.
        answer: Arc<Answer>,
        /// Until when it is as good as a new one, since 1970. Afterwards it stands in for one that cannot be had.
        until: Duration,
    },
    /// The claims that a rule answered, as they are sent.
    Claims {
        /// The body.
        body: Bytes,
        /// As above.
        until: Duration,
    },
    /// The upstream refused the caller's token: the name of the call by which it did.
    Refused(Arc<str>),
}

impl Key {
    /// The key of something of ours that these parts make; `what` keeps different things apart.
    pub fn new(what: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&what).chain(parts) {
            // With its length before it, no part can pass for two.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Key { name: hash.finalize().into(), kind: Kind::Ours }
    }

    /// What is kept under it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The key for those who send the same request while this one's is on its way.
    #[must_use]
    pub fn flight(self) -> Self {
        Key { kind: Kind::Flight, ..self }
    }

    /// Its bytes, to be part of another name.
    pub fn bytes(&self) -> &[u8] {
        &self.name
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be made of secrets that could be guessed from their hash.
        f.write_str("Key")
    }
}

/// Makes names that only those can make, or compare with a guess, who hold its key.
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// A seal with a random key, which all have that share a store.
    pub fn new(key: &[u8; 32]) -> Self {
        // A key shorter than a block is one that is filled up with zeros (RFC 2104, section 2).
        let mut block = [0; 64];
        block[..32].copy_from_slice(key);
        Seal(Hmac::new(&block.into()))
    }

    /// Begins a name; `what` keeps different things apart.
    pub fn name(&self, what: &str) -> Naming {
        Naming(self.0.clone()).part(what)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// A name in the making.
pub struct Naming(Hmac<Sha256>);

impl Naming {
    /// Adds a part.
    #[must_use]
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// Adds parts of which there may be any number.
    #[must_use]
    pub fn list<P: AsRef<[u8]>>(self, parts: impl IntoIterator<Item = P>) -> Self {
        let mut whole = parts.into_iter().fold(self, Naming::part);
        // No part has this length.
        whole.0.update(&u64::MAX.to_be_bytes());
        whole
    }

    /// The name of an answer to somebody.
    pub fn key(self) -> Key {
        Key { name: self.0.finalize().into_bytes().into(), kind: Kind::Answer }
    }
}

impl Entry {
    /// The bytes that it takes, about.
    pub fn weight(&self) -> usize {
        /// Keys, counters and pointers around it.
        const AROUND: usize = 256;
        AROUND
            + match &self.value {
                Stored::Answer { answer, .. } => {
                    let headers = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64);
                    answer.body.len() + headers.sum::<usize>() + AROUND
                }
                Stored::Claims { body, .. } => body.len(),
                Stored::AccessToken(token) => token.expose().len(),
                Stored::KeySet { .. } | Stored::Done | Stored::Refused(_) => 0,
            }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Answers and claims are somebody's.
        f.write_str(match self {
            Stored::AccessToken(_) => "AccessToken",
            Stored::KeySet { .. } => "KeySet",
            Stored::Done => "Done",
            Stored::Answer { .. } => "Answer",
            Stored::Claims { .. } => "Claims",
            Stored::Refused(_) => "Refused",
        })
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

    #[test]
    fn a_sealed_name_tells_its_parts_apart_and_is_another_under_another_seal() {
        let (seal, other) = (Seal::new(&[1; 32]), Seal::new(&[2; 32]));
        let keys = [
            seal.name("a").part("bc").key(),
            seal.name("ab").part("c").key(),
            seal.name("a").part("b").part("c").key(),
            seal.name("a").list(["b", "c"]).key(),
            seal.name("a").list(["bc"]).key(),
            seal.name("a").part("bc").key().flight(),
            other.name("a").part("bc").key(),
            Key::new("a", &["bc"]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != key), "{at}");
        }
        assert_eq!(seal.name("a").part("bc").key(), keys[0]);
    }

    #[test]
    fn what_is_kept_is_never_shown() {
        let body = Bytes::from_static(b"m4rk");
        let answer = Answer { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body: body.clone() };
        for value in [
            Stored::Answer { answer: Arc::new(answer), until: Duration::ZERO },
            Stored::Claims { body, until: Duration::ZERO },
            Stored::AccessToken(Secret::new("m4rk")),
        ] {
            let entry = Entry { value, lifetime: Duration::ZERO };
            assert!(!format!("{entry:?}").contains("m4rk"), "{entry:?}");
            assert!(entry.weight() > 256);
        }
    }
}
