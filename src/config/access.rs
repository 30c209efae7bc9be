//! `[access]`: who may ask, for all rules and for single ones.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use http::{HeaderName, header};
use ipnet::{IpNet, Ipv4Net};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor, value},
};

use super::{KeySource, Settings, Span, names};

/// `[access]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Where clients may be; without any, everywhere.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<Network>,
    /// Names of which a client's certificate must have one; `*` for any certificate. Without any, none is asked for.
    #[serde(deserialize_with = "names")]
    pub client_names: Vec<String>,
    /// Keys of which a request must show one; without any, none is asked for.
    #[serde(deserialize_with = "keys")]
    pub key: Vec<KeySource>,
    /// The header in which the key stands.
    #[serde(with = "header_name")]
    pub key_header: HeaderName,
    /// The parameter of the query in which it may stand instead.
    pub key_query: Option<String>,
    /// How often one address may ask.
    pub client_rate: Limit,
    /// How often may be asked with one token.
    pub token_rate: Limit,
    /// What becomes of an address whose tokens are refused.
    pub throttle: Throttle,
    /// Proxies that are believed who their client is.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it.
    #[serde(with = "header_name")]
    pub client_header: HeaderName,
    /// They say it by the PROXY protocol, version 2, too.
    pub proxy_protocol: bool,
}

/// `[rule.NAME.access]`: what is said here holds for this rule instead.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleAccess {
    /// Where clients may be.
    #[serde(deserialize_with = "some_networks")]
    pub networks: Option<Vec<Network>>,
    /// Names of which a client's certificate must have one.
    #[serde(deserialize_with = "some_names")]
    pub client_names: Option<Vec<String>>,
    /// Keys of which a request must show one.
    #[serde(deserialize_with = "some_keys")]
    pub key: Option<Vec<KeySource>>,
    /// How often one address may ask.
    pub client_rate: Option<Limit>,
    /// How often may be asked with one token.
    pub token_rate: Option<Limit>,
}

/// `[access.throttle]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Refused requests of one address after which it has to wait; 0 for never.
    pub after: u32,
    /// The time in which they count together.
    pub window: Span,
    /// The first wait; each is twice as long as the one before.
    pub delay: Span,
    /// The longest wait.
    pub max_delay: Span,
}

impl Default for Access {
    fn default() -> Self {
        Access {
            networks: Vec::new(),
            client_names: Vec::new(),
            key: Vec::new(),
            key_header: HeaderName::from_static("x-claimsmith-key"),
            key_query: None,
            client_rate: Limit::Off,
            token_rate: Limit::Off,
            throttle: Throttle::default(),
            trusted_proxies: Vec::new(),
            client_header: HeaderName::from_static("x-forwarded-for"),
            proxy_protocol: false,
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        // Off: where a proxy stands in front that no setting names, all clients have one address, and whoever sends
        // bad tokens would keep out everybody.
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Throttle { after: 0, window: seconds(60), delay: seconds(1), max_delay: seconds(300) }
    }
}

impl Settings {
    /// Finds what cannot be meant so.
    ///
    /// # Errors
    /// A sentence with the key.
    pub fn check(&self) -> Result<(), String> {
        let Settings { access, tls, rule, .. } = self;
        if access.proxy_protocol && access.trusted_proxies.is_empty() {
            return Err("settings: `access.proxy_protocol`: nobody is believed without `access.trusted_proxies`".into());
        }
        if access.key_header == header::AUTHORIZATION {
            return Err("settings: `access.key_header`: in `Authorization` stands the token".into());
        }
        if access.key_query.as_deref().is_some_and(|name| name.is_empty() || name == "access_token") {
            return Err("settings: `access.key_query`: not a name for a key".into());
        }
        let takes_certificates = tls.as_ref().is_some_and(|tls| tls.client_roots.is_some());
        let of_rule = rule.iter().filter_map(|(name, rule)| Some((Some(name), rule.access.client_names.as_ref()?)));
        let mut all = of_rule.chain([(None, &access.client_names)]);
        match all.find(|(_, names)| !names.is_empty() && !takes_certificates) {
            None => Ok(()),
            Some((rule, _)) => {
                let table = rule.map_or_else(String::new, |rule| format!("rule.{rule}."));
                Err(format!("settings: `{table}access.client_names`: nobody can show one without `tls.client_roots`"))
            }
        }
    }

    /// The files of all keys that are asked for.
    pub fn key_files(&self) -> impl Iterator<Item = &PathBuf> {
        let of_rules = self.rule.values().flat_map(|rule| rule.access.key.iter().flatten());
        self.access.key.iter().chain(of_rules).filter_map(|source| match source {
            KeySource::File(path) => Some(path),
            KeySource::Env(_) => None,
        })
    }
}

/// Addresses that have their first bits in common: `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it. One that is IPv4 in the clothes of IPv6 has to be undressed before.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network: IpNet =
            network.map_err(|_| format!("not a network: `{text}`; for example `10.0.0.0/8` or `2001:db8::/32`"))?;
        Ok(Network(plain(network.trunc())))
    }
}

/// IPv4 in the clothes of IPv6 is IPv4.
fn plain(network: IpNet) -> IpNet {
    let IpNet::V6(wide) = network else { return network };
    let of_ipv4 = wide.addr().to_ipv4_mapped().zip(wide.prefix_len().checked_sub(96));
    let narrow = of_ipv4.and_then(|(address, length): (Ipv4Addr, u8)| Ipv4Net::new(address, length).ok());
    narrow.map_or(network, IpNet::V4)
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// How often something may happen, written like `10/s`, `600/m` or `5000/h`: so many at once, and so many in that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Without a limit.
    #[default]
    Off,
    /// So many times in so many seconds.
    At {
        /// How many.
        count: NonZeroU32,
        /// A second, a minute or an hour.
        seconds: u32,
    },
}

const UNITS: [(&str, u32); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Limit::Off);
        }
        let parts = text.split_once('/').map(|(count, unit)| (count.trim(), unit.trim()));
        let limit = parts.and_then(|(count, unit)| {
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
            Some(Limit::At { count: count.parse().ok()?, seconds: *seconds })
        });
        limit.ok_or_else(|| format!("not a rate: `{text}`; for example `10/s`, `600/m`, `5000/h` or `off`"))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Off => f.write_str("off"),
            Limit::At { count, seconds } => {
                let unit = UNITS.iter().find(|(_, unit)| unit == seconds).map_or("s", |(name, _)| name);
                write!(f, "{count}/{unit}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    names(deserializer)?.iter().map(|name| name.parse().map_err(de::Error::custom)).collect()
}

/// A table, or a list of tables.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<KeySource>, D::Error> {
    struct Keys;

    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<KeySource>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`{ env = \"NAME\" }`, `{ file = \"/path\" }`, or a list of these")
        }

        // Whoever writes the key itself here is told so, and not by repeating it.
        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::invalid_type(de::Unexpected::Other("a text"), &self))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            KeySource::deserialize(value::MapAccessDeserializer::new(map)).map(|key| vec![key])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(value::SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(Keys)
}

/// What may be left out, and was not.
struct Given<T>(T);

impl<'de> Deserialize<'de> for Given<Vec<Network>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        networks(deserializer).map(Given)
    }
}

impl<'de> Deserialize<'de> for Given<Vec<String>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        names(deserializer).map(Given)
    }
}

impl<'de> Deserialize<'de> for Given<Vec<KeySource>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        keys(deserializer).map(Given)
    }
}

fn some_networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Network>>, D::Error> {
    Ok(Option::<Given<_>>::deserialize(deserializer)?.map(|given| given.0))
}

fn some_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<Given<_>>::deserialize(deserializer)?.map(|given| given.0))
}

fn some_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<KeySource>>, D::Error> {
    Ok(Option::<Given<_>>::deserialize(deserializer)?.map(|given| given.0))
}

/// Names of headers as text.
mod header_name {
    use super::{Deserialize, Deserializer, HeaderName, Serializer, de};

    pub(super) fn serialize<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom(format!("not a name of a header: `{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_network_however_it_is_written() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.1"),
        ] {
            let network: Network = text.parse().expect("it is one");
            assert!(network.contains(inside.parse().expect("an address")), "{text} {inside}");
            assert!(!network.contains(outside.parse().expect("an address")), "{text} {outside}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/8 ", "10.0.0.0-10.0.0.9"] {
            let why = text.parse::<Network>().expect_err("it is none");
            assert!(why.starts_with(&format!("not a network: `{text}`")), "{why}");
        }
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["off", "1/s", "600/m", "5000/h"] {
            assert_eq!(text.parse::<Limit>().expect("it is one").to_string(), text);
        }
        assert_eq!("10 / s".parse::<Limit>().expect("it is one").to_string(), "10/s");
        for text in ["", "10", "0/s", "-1/s", "10/d", "10/", "/s", "1.5/s", "99999999999/s", "none"] {
            let why = text.parse::<Limit>().expect_err("it is none");
            assert!(why.starts_with(&format!("not a rate: `{text}`")), "{why}");
        }
    }

    #[test]
    fn what_nobody_could_pass_is_told() {
        let fault = |text: &str| {
            let settings: Settings = toml::from_str(text).expect("it can be read");
            settings.check().err().unwrap_or_default()
        };
        for (text, part) in [
            ("[access]\nproxy_protocol = true", "access.trusted_proxies"),
            ("[access]\nkey_header = 'Authorization'", "access.key_header"),
            ("[access]\nkey_query = 'access_token'", "access.key_query"),
            ("[access]\nclient_names = ['*']", "`access.client_names`"),
            ("[rule.acme.access]\nclient_names = 'a.example'", "`rule.acme.access.client_names`"),
            ("[rule.acme.access]\nclient_names = []", ""),
            ("[access]\nproxy_protocol = true\ntrusted_proxies = '10.0.0.0/8'", ""),
        ] {
            let fault = fault(text);
            assert!(fault.contains(part) && fault.is_empty() == part.is_empty(), "{text}: {fault}");
        }
    }

    #[test]
    fn keys_are_one_or_many() {
        let read = |text: &str| toml::from_str::<Settings>(text).map_err(|error| error.message().to_owned());
        let one = read("[access]\nkey = { env = 'KEY' }").expect("it can be read");
        assert_eq!(one.access.key, [KeySource::Env("KEY".into())]);
        let text = "[rule.acme.access]\nkey = [{ file = 'new' }, { file = 'old' }]\n[access]\nkey = { file = 'all' }";
        let many = read(text).expect("it can be read");
        let files: Vec<_> = many.key_files().map(|path| path.display().to_string()).collect();
        assert_eq!(files, ["all", "new", "old"]);
        let text = read("[access]\nkey = 's3cret'").expect_err("settings hold no secret");
        assert!(text.contains("{ env ="), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
