//! The proxies that calls go through, if the settings ask for any.

use reqwest::{ClientBuilder, NoProxy, Proxy};
use url::Url;

use crate::config;

/// The proxies for the two schemes; none unless the settings say so.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    /// Whom calls reach without one, as `NO_PROXY` has it.
    none: String,
}

impl Proxies {
    /// The proxies that the settings name.
    ///
    /// # Errors
    /// When the environment names one that is none.
    pub(crate) fn new(setting: &config::Proxy) -> Result<Self, String> {
        match setting {
            config::Proxy::Off => Ok(Proxies::default()),
            config::Proxy::At(url) => {
                Ok(Proxies { http: Some(url.clone()), https: Some(url.clone()), none: String::new() })
            }
            config::Proxy::Environment => {
                let all = named("ALL_PROXY")?;
                let of = |name| named(name).map(|own| own.or_else(|| all.clone()));
                let none = variable("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
                Ok(Proxies { http: of("HTTP_PROXY")?, https: of("HTTPS_PROXY")?, none })
            }
        }
    }

    /// The names of their hosts, which are connected to in the place of upstreams.
    pub(super) fn hosts(&self) -> Vec<String> {
        let hosts = [&self.http, &self.https].into_iter().flatten().filter_map(Url::host_str);
        hosts.map(str::to_owned).collect()
    }

    /// Has a client use them.
    pub(crate) fn apply(&self, mut client: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        if let Some(url) = &self.http {
            client = client.proxy(Proxy::http(url.clone())?.no_proxy(NoProxy::from_string(&self.none)));
        }
        if let Some(url) = &self.https {
            client = client.proxy(Proxy::https(url.clone())?.no_proxy(NoProxy::from_string(&self.none)));
        }
        Ok(client)
    }
}

/// The proxy that a variable names. What it says is in no message: it may hold a password.
fn named(name: &str) -> Result<Option<Url>, String> {
    let Some((name, value)) = variable(name) else { return Ok(None) };
    let whole = if value.contains("://") { value } else { format!("http://{value}") };
    match Url::parse(&whole) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(Some(url)),
        _ => Err(format!("`upstream.proxy`: what {name} says is no HTTP proxy")),
    }
}

/// A variable, written in capitals or not, that is not empty.
fn variable(name: &str) -> Option<(String, String)> {
    [name.to_owned(), name.to_ascii_lowercase()]
        .into_iter()
        .filter_map(|name| std::env::var(&name).ok().map(|value| (name, value.trim().to_owned())))
        .find(|(_, value)| !value.is_empty())
}
