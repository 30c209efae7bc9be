//! The keys that requests show.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use http::{HeaderName, HeaderValue, Uri, uri::PathAndQuery};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use url::form_urlencoded;

use super::super::{Secrets, Store, Upstream};
use crate::{
    config::{Access, KeySource, Settings},
    core::{Host, Request, SecretSource},
};

/// Keys with fewer characters can be guessed.
const SHORT: usize = 16;

/// The keys of all rules, as they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Rings {
    common: Option<Arc<Ring>>,
    of_rules: BTreeMap<String, Option<Arc<Ring>>>,
}

/// Keys of which each opens. What is kept of them is their hash.
#[derive(PartialEq, Eq)]
pub(super) struct Ring(Vec<[u8; 32]>);

/// Where a request has its key.
pub(super) struct Finding {
    header: HeaderName,
    parameter: Option<String>,
}

impl Rings {
    /// Reads the keys of the settings.
    ///
    /// # Errors
    /// When one cannot be read, or can be no key.
    pub(in crate::gateway) fn read(settings: &Settings, secrets: &Secrets) -> Result<Self, String> {
        let of_rules = settings.rule.iter().filter_map(|(name, rule)| Some((name, rule.access.key.as_ref()?)));
        let of_rules: Vec<_> = of_rules.collect();
        if settings.access.key.is_empty() && of_rules.is_empty() {
            return Ok(Rings::default());
        }
        let host = Upstream::new(settings, secrets.clone(), Store::new())?;
        let read = |table: &str, sources: &[KeySource]| Ring::read(&format!("{table}access.key"), sources, &host);
        Ok(Rings {
            common: read("", &settings.access.key)?,
            of_rules: of_rules
                .into_iter()
                .map(|(name, sources)| Ok((name.clone(), read(&format!("rule.{name}."), sources)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// The keys of a rule that has its own, or of all others, if the settings name any. Those that are named and
    /// could not be read open for nobody.
    pub(super) fn of(&self, rule: Option<&str>, sources: &[KeySource]) -> Option<Arc<Ring>> {
        let ring = match rule {
            Some(rule) => self.of_rules.get(rule).cloned().flatten(),
            None => self.common.clone(),
        };
        (!sources.is_empty()).then(|| ring.unwrap_or_else(|| Arc::new(Ring(Vec::new()))))
    }
}

impl Ring {
    fn read(setting: &str, sources: &[KeySource], host: &Upstream) -> Result<Option<Arc<Self>>, String> {
        let mut keys = Vec::new();
        for source in sources {
            let source = match source {
                KeySource::Env(name) => SecretSource::Env(name.clone()),
                KeySource::File(path) => SecretSource::File(path.display().to_string()),
            };
            let key = host.secret(setting, &source).map_err(|why| format!("cannot read `{setting}`: {why}"))?;
            if HeaderValue::from_str(key.expose()).is_err() || key.expose().trim() != key.expose() {
                return Err(format!("cannot use `{setting}`: a key is visible ASCII without spaces around it"));
            }
            if key.expose().len() < SHORT {
                tracing::warn!(setting, "a key has fewer than {SHORT} characters, and can be guessed");
            }
            keys.push(Sha256::digest(key.expose()).into());
        }
        Ok((!keys.is_empty()).then(|| Arc::new(Ring(keys))))
    }

    /// Whether this is one of the keys. All are compared to their end, so that the time tells nothing.
    pub(super) fn opens(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&given)).into()
    }
}

impl Finding {
    pub(super) fn new(settings: &Access) -> Self {
        Finding { header: settings.key_header.clone(), parameter: settings.key_query.clone() }
    }

    /// Takes the key out of a request: nothing that a rule reads has it. Whoever shows two shows none.
    pub(super) fn take(&self, request: &mut Request) -> Option<Vec<u8>> {
        let mut lines = request.headers().get_all(&self.header).iter();
        let of_header = lines.next().map(|line| line.as_bytes().to_vec());
        let mut twice = lines.next().is_some();
        if of_header.is_some() {
            request.headers_mut().remove(&self.header);
        }
        let mut of_query = None;
        if let Some(parameter) = &self.parameter
            && let Some(query) = request.uri().query()
        {
            let is_key = |name: &Cow<'_, str>| name == parameter;
            let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| is_key(name));
            of_query = found.next().map(|(_, value)| value.into_owned().into_bytes());
            twice |= found.next().is_some();
            if of_query.is_some() {
                let rest = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !is_key(name));
                let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
                *request.uri_mut() = with_query(request.uri(), &rest);
            }
        }
        let given = [of_header, of_query];
        twice |= given.iter().all(Option::is_some);
        given.into_iter().flatten().next().filter(|_| !twice)
    }
}

fn with_query(uri: &Uri, query: &str) -> Uri {
    let path = uri.path();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut parts = uri.clone().into_parts();
    // What was encoded is shorter than a URI may be, as it was before. If not: without its query.
    parts.path_and_query = PathAndQuery::try_from(target).or_else(|_| PathAndQuery::try_from(path)).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(uri: &str, headers: &[&str]) -> (Option<String>, String) {
        let finding = Finding { header: HeaderName::from_static("x-key"), parameter: Some("key".into()) };
        let mut request = http::Request::get(uri);
        for value in headers {
            request = request.header("x-key", *value);
        }
        let mut request = request.body(bytes::Bytes::new()).expect("a sound request");
        let given = finding.take(&mut request).map(|given| String::from_utf8(given).expect("it is text"));
        assert!(!request.headers().contains_key("x-key"), "it is taken out");
        (given, request.uri().to_string())
    }

    #[test]
    fn a_key_is_taken_out_of_its_place() {
        for (uri, headers, expected, left) in [
            ("/acme", &[][..], None, "/acme"),
            ("/acme?a=b", &["k"], Some("k"), "/acme?a=b"),
            ("/acme?key=k", &[], Some("k"), "/acme"),
            ("/acme?a=b&key=k%2B1&c", &[], Some("k+1"), "/acme?a=b&c="),
            ("/acme?k%65y=k", &[], Some("k"), "/acme"),
            ("/acme?akey=k", &[], None, "/acme?akey=k"),
            ("http://gateway/acme?key=k&a=%C3%A9", &[], Some("k"), "http://gateway/acme?a=%C3%A9"),
            ("/acme?key=", &[], Some(""), "/acme"),
            // Two are none, also if they are the same.
            ("/acme", &["k", "k"], None, "/acme"),
            ("/acme?key=k&key=k", &[], None, "/acme"),
            ("/acme?key=k", &["k"], None, "/acme"),
        ] {
            assert_eq!(take(uri, headers), (expected.map(str::to_owned), left.to_owned()), "{uri} {headers:?}");
        }
    }

    #[test]
    fn each_key_of_a_ring_opens_and_nothing_else() {
        let ring = Ring(["first-key", "second-key"].map(|key| Sha256::digest(key).into()).to_vec());
        assert!(ring.opens(b"first-key") && ring.opens(b"second-key"));
        for wrong in ["", "first", "first-key ", "first-key\0", "FIRST-KEY", "first-keysecond-key"] {
            assert!(!ring.opens(wrong.as_bytes()), "{wrong:?}");
        }
    }
}
