//! `[otlp]`: where traces and metrics are sent, besides what is told when somebody asks.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use http::HeaderName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::{Position, Url};

use super::{KeySource, Origin, Span};

/// `[otlp]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// Where a collector accepts OTLP over HTTP; nothing is sent without.
    pub endpoint: Option<Endpoint>,
    /// Headers of what is sent, each by where its value stands.
    pub headers: BTreeMap<Header, KeySource>,
    /// How often metrics are sent.
    pub interval: Span,
    /// The time for one delivery.
    pub timeout: Span,
    /// The share of requests that leave a trace, where the caller does not say.
    pub sample: Ratio,
    /// Traces are sent.
    pub traces: bool,
    /// Metrics are sent.
    pub metrics: bool,
    /// What the process is called there.
    pub service: String,
    /// What else there is to say of it.
    pub attributes: BTreeMap<String, String>,
    /// Whom calls tell which trace they belong to.
    pub propagate: Propagate,
    /// They also pass on the caller's `tracestate`.
    pub tracestate: bool,
}

impl Default for Otlp {
    fn default() -> Self {
        Otlp {
            endpoint: None,
            headers: BTreeMap::new(),
            interval: Span(Duration::from_secs(60)),
            timeout: Span(Duration::from_secs(10)),
            sample: Ratio(1.0),
            traces: true,
            metrics: true,
            service: "claimsmith".into(),
            attributes: BTreeMap::new(),
            propagate: Propagate::Nobody,
            tracestate: false,
        }
    }
}

/// The address of a collector: what comes before `/v1/traces`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Url);

impl Endpoint {
    /// Its origin.
    pub fn origin(&self) -> Option<Origin> {
        self.0[..Position::BeforePath].parse().ok()
    }

    /// The address for a kind of signal: `traces` or `metrics`.
    pub fn of(&self, signal: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/v1/{signal}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |why: &str| format!("{why}; write the address of a collector, like `http://127.0.0.1:4318`");
        let url = Url::parse(text).map_err(|_| fault("not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(fault("not an address of HTTP"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("settings hold no credentials: `otlp.headers` names where they stand"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("an address with a query"));
        }
        Ok(Endpoint(url))
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.0.as_str().trim_end_matches('/').to_owned()
    }
}

/// The name of a header.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub struct Header(String);

impl Header {
    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => Ok(Header(name.as_str().to_owned())),
            Err(_) => Err(format!("not the name of a header: `{text}`")),
        }
    }
}

impl TryFrom<String> for Header {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A share, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio(pub f64);

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        match (0.0..=1.0).contains(&number) {
            true => Ok(Ratio(number)),
            false => Err(de::Error::custom(format!("not from 0 to 1: `{number}`"))),
        }
    }
}

/// Whom calls tell which trace they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Propagate {
    /// A provider is a third party.
    Nobody,
    /// All that rules call.
    Everybody,
    /// These origins, as rules name them.
    Origins(Vec<Origin>),
}

impl<'de> Deserialize<'de> for Propagate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            All(bool),
            One(String),
            Some(Vec<String>),
        }
        let fault = |_| de::Error::custom("neither `true`, `false` nor a list of origins");
        let origins = match Written::deserialize(deserializer).map_err(fault)? {
            Written::All(true) => return Ok(Propagate::Everybody),
            Written::All(false) => return Ok(Propagate::Nobody),
            // In the environment, where lists are awkward, one text with commas.
            Written::One(text) => text.split(',').map(|origin| origin.trim().to_owned()).collect(),
            Written::Some(origins) => origins,
        };
        let origins = origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>();
        origins.map(Propagate::Origins).map_err(de::Error::custom)
    }
}

impl Serialize for Propagate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Propagate::Nobody => serializer.serialize_bool(false),
            Propagate::Everybody => serializer.serialize_bool(true),
            Propagate::Origins(origins) => origins.serialize(serializer),
        }
    }
}

/// `OTEL_RESOURCE_ATTRIBUTES` as the specification of OpenTelemetry writes it: `name=value`, separated by commas, with
/// values in percent encoding. All of it is left out if a part is wrong, as the specification says.
pub(super) fn attributes(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim().to_owned(), value.into_owned())).filter(|(name, _)| !name.is_empty())
    });
    pairs.collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_without_credentials_and_query() {
        let of = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.of("traces").to_string());
        for (text, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
            ("https://otlp.example/otlp", "https://otlp.example/otlp/v1/traces"),
            ("https://otlp.example/otlp/", "https://otlp.example/otlp/v1/traces"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(url), "{text}");
        }
        for text in
            ["", "127.0.0.1:4318", "grpc://a:4317", "https://u:p@a", "https://u@a", "https://a/?k=1", "https://a#b"]
        {
            assert!(of(text).is_err_and(|why| !why.contains("u:p")), "{text}");
        }
    }

    #[test]
    fn attributes_of_the_environment_are_read_as_the_specification_says() {
        for (text, expected) in [
            ("", &[][..]),
            ("a=b", &[("a", "b")]),
            (" a = b , c.d=e%2Cf%3D ,", &[("a", "b"), ("c.d", "e,f=")]),
            ("a=b,c", &[]),
            ("=b", &[]),
            ("a=%ff", &[]),
        ] {
            let expected = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(attributes(text), expected, "{text}");
        }
    }
}
