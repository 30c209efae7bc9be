//! The settings of a Worker: the binding `CLAIMSMITH`, with those names of the program's settings that mean something
//! here. What it does not know is an error.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use url::Url;

use crate::line::Level;

/// Everything that can be set.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The time for a whole request.
    #[serde(deserialize_with = "span")]
    pub deadline: Duration,
    /// Bytes of a request's body.
    pub max_request_body: usize,
    /// Headers of a request.
    pub max_request_headers: usize,
    /// Accept a token in the query, which RFC 6750 advises against.
    pub query_token: bool,
    /// Logging.
    pub log: Log,
    /// How upstreams are reached.
    pub upstream: Upstream,
    /// What is kept of answers.
    pub cache: Cache,
    /// Settings of single rules.
    pub rule: BTreeMap<String, Rule>,
}

/// `log`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least serious level that is written.
    pub level: Level,
}

/// `upstream`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Bytes of an answer's body, decompressed.
    pub max_body: usize,
    /// Origins that are reached at another origin, for staging and tests.
    #[serde(deserialize_with = "origins")]
    pub reroute: Vec<(String, String)>,
}

/// `cache`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Bytes of answers that an isolate keeps.
    pub max_bytes: usize,
}

/// `rule.NAME`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Values for the rule's vars.
    pub vars: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            deadline: Duration::from_secs(10),
            max_request_body: 64 * 1024,
            max_request_headers: 100,
            query_token: false,
            log: Log::default(),
            upstream: Upstream::default(),
            cache: Cache::default(),
            rule: BTreeMap::new(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Upstream { max_body: 1024 * 1024, reroute: Vec::new() }
    }
}

impl Default for Cache {
    fn default() -> Self {
        // An isolate has 128 MiB for everything.
        Cache { max_bytes: 8 * 1024 * 1024 }
    }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.ok_or_else(|| de::Error::custom(format!("not a duration: `{text}`; for example `10s` or `500ms`")))
}

/// Pairs of origins as URLs write them, without a slash.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let given = BTreeMap::<String, String>::deserialize(deserializer)?;
    let pairs = given.iter().map(|(from, to)| Ok((origin(from)?, origin(to)?)));
    pairs.collect::<Result<_, String>>().map_err(de::Error::custom)
}

fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok();
    let sound = |url: &Url| url.path() == "/" && url.query().is_none() && matches!(url.scheme(), "http" | "https");
    match url.filter(sound) {
        Some(url) => Ok(url.origin().ascii_serialization()),
        None => Err(format!("not an origin: `{text}`; write scheme, host and port alone, like `https://host:8443`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_program_and_unknown_ones_are_refused() {
        let text = r#"{"deadline": "1500ms", "upstream": {"reroute": {"https://a.example": "http://127.0.0.1:1/"}}}"#;
        let settings: Settings = serde_json::from_str(text).expect("they are sound");
        assert_eq!(settings.deadline, Duration::from_millis(1500));
        assert_eq!(settings.upstream.reroute, [("https://a.example".into(), "http://127.0.0.1:1".into())]);
        for wrong in [
            r#"{"deadlin": "1s"}"#,
            r#"{"deadline": "soon"}"#,
            r#"{"upstream": {"reroute": {"https://a.example/x": "http://b"}}}"#,
        ] {
            assert!(serde_json::from_str::<Settings>(wrong).is_err(), "{wrong}");
        }
    }
}
