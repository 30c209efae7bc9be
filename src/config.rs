//! The settings of the process, typed; `layers` reads them.
//!
//! Settings hold no secrets: rules name those by reference.

mod access;
mod egress;
mod layers;
mod otlp;
mod words;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

pub use self::{
    access::{Access, Limit, Network, RuleAccess, Throttle},
    egress::{Allowed, OriginTls, Proxy, TlsVersion},
    layers::{Changes, Config, Flags, LogFlags, file, load, token},
    otlp::{Endpoint, Header, Otlp, Propagate, Ratio},
    words::SETTINGS,
};

/// The folder of the rules when none is named.
pub const DEFAULT_RULES: &str = "rules";

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where requests are accepted.
    pub listen: SocketAddr,
    /// The folder of the rules.
    pub rules: PathBuf,
    /// Rules of the catalogue that serve besides those of the folder.
    #[serde(rename = "use", deserialize_with = "names")]
    pub shipped: Vec<String>,
    /// Threads that answer requests, each with its own connections; 0 for one a core.
    pub workers: usize,
    /// The time for a whole request, from its head to its answer.
    pub deadline: Span,
    /// Requests on their way at once; more are answered 503.
    pub max_requests: usize,
    /// Bytes of a request's body.
    pub max_request_body: usize,
    /// Bytes of a request's head: request line and headers.
    pub max_request_head: usize,
    /// Headers of a request; more are answered 431.
    pub max_request_headers: usize,
    /// Connections that are open at once; more are closed as they come.
    pub max_connections: usize,
    /// Requests that one HTTP/2 connection may have on their way.
    pub max_streams: u32,
    /// Requests that one HTTP/2 connection may take back before they are looked at; more end it.
    pub max_resets: usize,
    /// The time for a TLS handshake, and from the first byte of a request to the end of its head.
    pub head_timeout: Span,
    /// How long a connection may be open without a request.
    pub idle_timeout: Span,
    /// How long a stopping process goes on as before, but tells that it is not ready.
    pub stop_delay: Span,
    /// How long a stopping process waits for the requests on their way.
    pub drain: Span,
    /// Another process may listen at the same address, to take over.
    pub share_port: bool,
    /// How often rules, secrets and the settings file are looked at; zero for never.
    pub watch: Span,
    /// Accept a token in the query, which RFC 6750 advises against.
    pub query_token: bool,
    /// Logging.
    pub log: Log,
    /// Where the process tells how it is.
    pub admin: Admin,
    /// Who may ask.
    pub access: Access,
    /// TLS for `listen`; plain HTTP without.
    pub tls: Option<Tls>,
    /// How upstreams are reached.
    pub upstream: Upstream,
    /// What is kept of answers.
    pub cache: Cache,
    /// Where traces and metrics are sent.
    pub otlp: Otlp,
    /// Settings of single rules.
    pub rule: BTreeMap<String, Rule>,
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least serious level that is written.
    pub level: Level,
    /// How lines look.
    pub format: Format,
    /// Whether the line of a request has the address of its client.
    pub client: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What the operator must look at.
    Error,
    /// And what upstreams do wrong.
    Warn,
    /// And one line a request.
    #[default]
    Info,
    /// And what is of use to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[admin]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where health, metrics and the state of the rules are told.
    pub listen: Door,
    /// What all but the health pages ask for, as a bearer token.
    pub key: Option<KeySource>,
    /// Whether the playground stands at `/play`; it needs a key.
    pub play: bool,
    /// Logins may be recorded as cases when somebody asks there.
    pub record: bool,
    /// Requests whose steps are told there, and as many that failed; 0 for none.
    pub traces: usize,
}

/// An address, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nothing is told.
    Off,
    /// Here.
    At(SocketAddr),
}

/// Where a key stands; settings hold none.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
}

/// `[tls]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificate chain; read again when it changes.
    pub certificate: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
    /// A PEM file with the authorities whose certificates clients show; without it none is asked for.
    #[serde(default)]
    pub client_roots: Option<PathBuf>,
    /// Whether clients have to.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Without one there is no connection.
    #[default]
    Required,
    /// Only where a rule's `client_names` say so; one that is shown has to be good.
    Optional,
}

/// `[upstream]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The time to connect, TLS included.
    pub connect_timeout: Span,
    /// Bytes of an answer's body, decompressed.
    pub max_body: usize,
    /// Requests on their way to one origin at once; more are answered 503.
    pub max_per_origin: usize,
    /// Failures in a row after which an origin is left alone; 0 for never.
    pub trip_after: u32,
    /// How often an origin that is left alone is tried.
    pub probe_every: Span,
    /// Repeated attempts, in percent of the requests to an origin.
    pub retry_budget: u32,
    /// How long an origin's word that it wants no more requests of a caller holds at most.
    pub max_hold: Span,
    /// A PEM file with roots that are trusted besides those of the web.
    pub roots: Option<PathBuf>,
    /// The oldest version of TLS that is spoken.
    pub min_tls: TlsVersion,
    /// TLS for single origins.
    pub tls: BTreeMap<Origin, OriginTls>,
    /// Networks and origins that calls may reach although they are not public.
    #[serde(deserialize_with = "egress::allowed")]
    pub allow: Vec<Allowed>,
    /// The proxy that calls go through.
    pub proxy: Proxy,
    /// Origins that are reached at another origin, for staging and tests.
    pub reroute: BTreeMap<Origin, Origin>,
}

/// `[cache]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Bytes of answers that are kept for rules that ask for it.
    pub max_bytes: u64,
}

/// `[rule.NAME]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Values for the rule's `[vars]`.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// Who may ask for it.
    pub access: RuleAccess,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            rules: PathBuf::from(DEFAULT_RULES),
            shipped: Vec::new(),
            workers: 0,
            deadline: Span(Duration::from_secs(10)),
            max_requests: 4096,
            max_request_body: 64 * 1024,
            max_request_head: 64 * 1024,
            max_request_headers: 100,
            max_connections: 10_000,
            max_streams: 128,
            max_resets: 20,
            head_timeout: Span(Duration::from_secs(10)),
            // Load balancers keep connections for 60 seconds: closing first would fail the request that they are
            // about to send.
            idle_timeout: Span(Duration::from_secs(75)),
            stop_delay: Span(Duration::ZERO),
            drain: Span(Duration::from_secs(30)),
            share_port: false,
            watch: Span(Duration::from_secs(1)),
            query_token: false,
            log: Log::default(),
            admin: Admin::default(),
            access: Access::default(),
            tls: None,
            upstream: Upstream::default(),
            cache: Cache::default(),
            otlp: Otlp::default(),
            rule: BTreeMap::new(),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Cache { max_bytes: 64 * 1024 * 1024 }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Admin {
            listen: Door::At(SocketAddr::from(([127, 0, 0, 1], 8081))),
            key: None,
            play: false,
            record: false,
            traces: 0,
        }
    }
}

impl<'de> Deserialize<'de> for Door {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "off" => Ok(Door::Off),
            text => text
                .parse()
                .map(Door::At)
                .map_err(|_| de::Error::custom(format!("neither an address nor `off`: `{text}`"))),
        }
    }
}

impl Serialize for Door {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Door::Off => serializer.serialize_str("off"),
            Door::At(address) => serializer.collect_str(address),
        }
    }
}

/// A list of names; in the environment, where lists are awkward, one text with commas.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        // A rule may be called `42`.
        Number(u64),
        Text(String),
    }
    let names = match Names::deserialize(deserializer)? {
        Names::List(names) => names,
        Names::Number(number) => vec![number.to_string()],
        Names::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            connect_timeout: Span(Duration::from_secs(5)),
            max_body: 1024 * 1024,
            max_per_origin: 1024,
            trip_after: 10,
            probe_every: Span(Duration::from_secs(5)),
            retry_budget: 10,
            max_hold: Span(Duration::from_secs(60)),
            roots: None,
            min_tls: TlsVersion::default(),
            tls: BTreeMap::new(),
            allow: Vec::new(),
            proxy: Proxy::Off,
            reroute: BTreeMap::new(),
        }
    }
}

/// A duration, written like `10s` or `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A duration as settings write it.
pub fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok())
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text)
            .map(Span)
            .ok_or_else(|| de::Error::custom(format!("not a duration: `{text}`; for example `10s` or `500ms`")))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.as_nanos();
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")];
        let exact = units.iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
        let (unit, name) = exact.unwrap_or(&(1, "ns"));
        serializer.collect_str(&format_args!("{}{name}", nanos / unit))
    }
}

/// Scheme, host and port: `https://api.acme.example`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Url);

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("not an origin: `{text}`; write scheme, host and port alone, like `https://host:8443`");
        let url = Url::parse(text).map_err(|_| fault())?;
        let sound = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if sound { Ok(Origin(url)) } else { Err(fault()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
