//! `[upstream]`, as far as it says where calls may connect to, and how that is secured.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use super::Origin;

/// What calls may reach although it is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Every address of a network.
    Network(IpNet),
    /// An origin, whatever its address is.
    Origin(Origin),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return text.parse().map(Allowed::Origin);
        }
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Allowed::Network).map_err(|_| {
            format!(
                "neither a network nor an origin: `{text}`; write it like `10.0.0.0/8`, `10.0.0.7` or \
                 `https://idp.internal.example`"
            )
        })
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Network(network) => network.fmt(f),
            Allowed::Origin(origin) => origin.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Allowed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A list of these; in the environment, where lists are awkward, one text with commas.
pub(super) fn allowed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Allowed>, D::Error> {
    super::names(deserializer)?.iter().map(|name| name.parse().map_err(de::Error::custom)).collect()
}

/// The proxy that calls go through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
    Off,
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
    /// This one.
    At(Url),
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => return Ok(Proxy::Off),
            "environment" => return Ok(Proxy::Environment),
            _ => {}
        }
        let sound = |url: &Url| matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
        match Url::parse(text).ok().filter(sound) {
            // The text itself is not repeated: it holds a password.
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                Err("settings hold no credentials: write `environment`, and the proxy with them into HTTPS_PROXY"
                    .to_owned())
            }
            Some(url) => Ok(Proxy::At(url)),
            None => {
                Err("not a proxy: write `off`, `environment` or an address like `http://proxy.example:3128`".into())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Proxy::Off => serializer.serialize_str("off"),
            Proxy::Environment => serializer.serialize_str("environment"),
            Proxy::At(url) => serializer.serialize_str(url.as_str()),
        }
    }
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2; older ones are not spoken at all.
    #[default]
    V12,
    /// TLS 1.3
    V13,
}

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Version {
            Text(String),
            // It looks like one in the environment.
            Number(f64),
        }
        let text = match Version::deserialize(deserializer)? {
            Version::Text(text) => text,
            Version::Number(number) => number.to_string(),
        };
        match text.as_str() {
            "1.2" => Ok(TlsVersion::V12),
            "1.3" => Ok(TlsVersion::V13),
            _ => Err(de::Error::custom(format!("neither `1.2` nor `1.3`: `{text}`"))),
        }
    }
}

impl Serialize for TlsVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            TlsVersion::V12 => "1.2",
            TlsVersion::V13 => "1.3",
        })
    }
}

/// `[upstream.tls."ORIGIN"]`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(default, deny_unknown_fields)]
pub struct OriginTls {
    /// A PEM file with the authorities that are trusted for it, and no others.
    pub roots: Option<PathBuf>,
    /// A PEM file with the certificate that is shown to it, unless the rule has one for the call.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the key of the certificate.
    pub key: Option<PathBuf>,
    /// The oldest version; that of `upstream.min_tls` without it.
    pub min_tls: Option<TlsVersion>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_a_network_an_address_or_an_origin() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("https://idp.internal.example", "https://idp.internal.example"),
            ("http://127.0.0.1:9001/", "http://127.0.0.1:9001"),
        ] {
            assert_eq!(text.parse::<Allowed>().map(|allowed| allowed.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "*", "idp.internal.example", "10.0.0.0/33", "10.0.0", "ftp://a", "https://a/path", "all"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_has_no_password_in_the_settings() {
        let at = |text: &str| Proxy::At(Url::parse(text).expect("a URL"));
        assert_eq!("off".parse(), Ok(Proxy::Off));
        assert_eq!("environment".parse(), Ok(Proxy::Environment));
        assert_eq!("http://proxy.example:3128".parse(), Ok(at("http://proxy.example:3128/")));
        for text in ["", "on", "proxy.example:3128", "socks5://proxy.example", "http://a/b", "http://u:m4rk@a"] {
            let why = text.parse::<Proxy>().expect_err(text);
            assert!(!why.contains("m4rk"), "{why}");
        }
    }
}
