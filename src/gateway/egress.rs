//! Where calls may connect to: public addresses, and what the settings allow by name.
//!
//! An address that a URL has in the place of a name is looked at before anything is sent. A name is looked at when it
//! is resolved for a connection, which is then made to one of the addresses that passed, and to no other: there is no
//! moment at which a name server could say something else.

mod proxy;
mod ranges;

use std::{error::Error, fmt, io, net::IpAddr, pin::Pin, sync::Arc};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

pub(super) use self::proxy::Proxies;
use self::ranges::Range;
use crate::config::Allowed;

/// The addresses of a name.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// What finds the addresses of names. It need not judge them.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn(&str) -> Found + Send + Sync>);

/// What may be connected to.
#[derive(Debug)]
pub(super) struct Guard {
    networks: Vec<IpNet>,
    /// Names of proxies: whoever names a proxy wants it reached.
    proxies: Vec<String>,
}

/// An address that is not reached.
#[derive(Debug)]
pub(super) struct Barred {
    /// As the rule has it.
    host: String,
    range: &'static Range,
}

/// Resolves names for connections.
pub(super) struct Resolver {
    pub(super) lookup: Lookup,
    /// None where the operator allows an origin, whatever its address is.
    pub(super) guard: Option<Arc<Guard>>,
}

impl Lookup {
    /// Finds addresses in a way of one's own: a host may have another source of them than the system.
    pub fn new(find: impl Fn(&str) -> Found + Send + Sync + 'static) -> Self {
        Lookup(Arc::new(find))
    }

    /// Asks the system.
    pub(super) fn system() -> Self {
        Lookup::new(|name| {
            let name = name.to_owned();
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        })
    }
}

impl Guard {
    /// What the settings allow; origins that they allow are not asked about here.
    pub(super) fn new(allowed: &[Allowed], proxies: &Proxies) -> Self {
        let networks = allowed.iter().filter_map(|allowed| match allowed {
            Allowed::Network(network) => Some(*network),
            Allowed::Origin(_) => None,
        });
        Guard { networks: networks.collect(), proxies: proxies.hosts() }
    }

    /// Looks at a URL whose host is an address. All ways to write one (octal, hexadecimal, one number, fewer than four)
    /// are the same after parsing.
    pub(super) fn admit(&self, url: &Url) -> Result<(), Barred> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.judge(address).map_err(|range| Barred { host: address.to_string(), range })
    }

    /// The addresses of a name that may be connected to.
    fn screen(&self, name: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Barred> {
        if self.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
            return Ok(found);
        }
        let mut barred = None;
        let mut admitted = found;
        admitted.retain(|address| match self.judge(*address) {
            Ok(()) => true,
            Err(range) => {
                barred.get_or_insert(range);
                false
            }
        });
        match barred {
            Some(range) if admitted.is_empty() => Err(Barred { host: name.to_owned(), range }),
            _ => Ok(admitted),
        }
    }

    fn judge(&self, address: IpAddr) -> Result<(), &'static Range> {
        let Some(range) = ranges::of(address) else { return Ok(()) };
        let inner = ranges::inner(address);
        let allowed = |network: &IpNet| network.contains(&address) || network.contains(&inner);
        if self.networks.iter().any(allowed) { Ok(()) } else { Err(range) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup.0)(name.as_str());
        let guard = self.guard.clone();
        Box::pin(async move {
            let found = found.await?;
            let admitted = match guard {
                None => found,
                Some(guard) => guard.screen(name.as_str(), found)?,
            };
            // Port 0 stands for that of the URL.
            let addresses: Addrs = Box::new(admitted.into_iter().map(|address| (address, 0).into()));
            Ok(addresses)
        })
    }
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Barred { host, range: Range { network, kind } } = self;
        write!(
            f,
            "the address of {host} is not public ({kind}, {network}); if calls may go there, name the origin or the \
             network in the setting `upstream.allow`"
        )
    }
}

impl Error for Barred {}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}
