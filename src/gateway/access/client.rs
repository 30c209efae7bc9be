//! Who the client is: the other end of the connection, or whom a trusted proxy names.
//!
//! What stands in a header is believed as far as those are trusted who wrote it. It is read from its end, where the
//! nearest proxy has written, and only as long as what is read names another trusted proxy.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::config::{Access, Network};

/// Proxies in a row that are walked through at most.
const MAX_HOPS: usize = 32;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Peer {
    /// Its address, or the one that the PROXY protocol names.
    client: Client,
    /// The names in the certificate that it showed; it was verified.
    names: Option<Arc<Names>>,
}

/// Names of a certificate: DNS and URI.
type Names = Vec<String>;

/// An address, and whether it is the client's for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// False if a trusted proxy names nobody: then it is the address of that proxy, and behind it may be anybody.
    pub(super) vouched: bool,
}

/// One address of IPv4, or the first 64 bits of one of IPv6: who has one of these has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Block(IpAddr);

/// Proxies, and how they name their clients.
pub(super) struct Proxies {
    trusted: Vec<Network>,
    header: HeaderName,
    /// The header is that of RFC 7239.
    is_forwarded: bool,
    /// They speak the PROXY protocol.
    pub(super) speak_protocol: bool,
}

impl Peer {
    pub(in crate::gateway) fn new(address: IpAddr) -> Self {
        Peer { client: Client { address: address.to_canonical(), vouched: true }, names: None }
    }

    /// Somebody behind a proxy that does not say who.
    pub(super) fn behind(proxy: IpAddr) -> Self {
        Peer { client: Client { address: proxy.to_canonical(), vouched: false }, names: None }
    }

    pub(in crate::gateway) fn address(&self) -> IpAddr {
        self.client.address
    }

    /// With the certificate that it showed, the last of which signed the one before.
    pub(in crate::gateway) fn showing(self, chain: Option<&[CertificateDer<'_>]>) -> Self {
        let own = chain.and_then(|chain| chain.first());
        Peer { names: own.map(|own| Arc::new(names(own))), ..self }
    }

    /// Whether its certificate has one of these names. Without a certificate it has none, with one also `*`.
    pub(super) fn has_one_of(&self, wanted: &[String]) -> bool {
        let Some(names) = &self.names else { return false };
        wanted.iter().any(|wanted| wanted == "*" || names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    }
}

fn names(certificate: &CertificateDer<'_>) -> Names {
    // One that cannot be read has no names; it was read when it was verified.
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Names::new() };
    certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned).collect()
}

impl Block {
    pub(super) fn of(address: IpAddr) -> Self {
        const FIRST_HALF: u128 = u128::MAX << 64;
        Block(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & FIRST_HALF).into(),
        })
    }
}

impl Proxies {
    pub(super) fn new(settings: &Access) -> Self {
        Proxies {
            trusted: settings.trusted_proxies.clone(),
            is_forwarded: settings.client_header == http::header::FORWARDED,
            header: settings.client_header.clone(),
            speak_protocol: settings.proxy_protocol,
        }
    }

    pub(super) fn are_believed(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The client of a request.
    pub(super) fn client(&self, peer: &Peer, headers: &HeaderMap) -> Client {
        let mut client = peer.client;
        if !client.vouched || !self.are_believed(client.address) {
            return client;
        }
        let lines = headers.get_all(&self.header).iter().rev();
        let entries = lines.flat_map(|line| Entries { rest: Some(line.as_bytes()) });
        for (hop, entry) in entries.enumerate() {
            let named = if self.is_forwarded { forwarded(entry) } else { node(entry) };
            match named.filter(|_| hop < MAX_HOPS) {
                Some(address) => client.address = address,
                None => return Client { vouched: false, ..client },
            }
            if !self.are_believed(client.address) {
                break;
            }
        }
        client
    }
}

/// The entries of a list in a header, the last first. A comma in quotes parts nothing; since it is read from the end,
/// quotes that somebody opened before do not reach what a proxy has written behind them.
struct Entries<'h> {
    rest: Option<&'h [u8]>,
}

impl<'h> Iterator for Entries<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        let comma = rest.iter().enumerate().rposition(|(at, byte)| {
            // A quote after a backslash is a letter within quotes.
            quoted ^= *byte == b'"' && (!quoted || at == 0 || rest[at - 1] != b'\\');
            *byte == b',' && !quoted
        });
        let (rest, entry) = match comma {
            Some(comma) => (Some(&rest[..comma]), &rest[comma + 1..]),
            None => (None, rest),
        };
        self.rest = rest;
        Some(entry.trim_ascii())
    }
}

/// The address in an element of `Forwarded` (RFC 7239, section 4): the one `for` that it has.
fn forwarded(element: &[u8]) -> Option<IpAddr> {
    // No address has a semicolon, and no quoted one a backslash.
    let pairs = element.split(|byte| *byte == b';').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    });
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(b"for"));
    let (_, value) = named.next().filter(|_| named.next().is_none())?;
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    node(quoted.unwrap_or(value))
}

/// An address as proxies write it: with a port or without, IPv6 in brackets or without.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let address = text.parse().ok().or_else(bare);
    address.or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip())).map(|found| found.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(header: &str, peer: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8:f::/48"].map(|network| network.parse().expect("a network"));
        let settings = Access {
            trusted_proxies: networks.to_vec(),
            client_header: header.parse().expect("a name"),
            ..Access::default()
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(settings.client_header.clone(), HeaderValue::from_str(line).expect("a sound value"));
        }
        let peer = Peer::new(peer.parse().expect("an address"));
        let Client { address, vouched } = Proxies::new(&settings).client(&peer, &headers);
        format!("{address}{}", if vouched { "" } else { "?" })
    }

    #[test]
    fn x_forwarded_for_is_read_from_its_end() {
        for (peer, lines, expected) in [
            // Whoever is no proxy is believed nothing.
            ("198.51.100.1", &["203.0.113.9"][..], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["192.0.2.1,203.0.113.9 , 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["192.0.2.1", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("2001:db8:f::1", &["2001:db8::9"], "2001:db8::9"),
            ("10.0.0.1", &["[2001:db8::9]:443"], "2001:db8::9"),
            ("10.0.0.1", &["[2001:db8::9]"], "2001:db8::9"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            // What is before that is nobody's business.
            ("10.0.0.1", &["garbage, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["\"open, 203.0.113.9"], "203.0.113.9"),
            // A proxy that names nobody.
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1?"),
            ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2?"),
            ("10.0.0.1", &[""], "10.0.0.1?"),
            ("10.0.0.1", &["203.0.113.9,"], "10.0.0.1?"),
            ("10.0.0.1", &["203.0.113.999"], "10.0.0.1?"),
            ("10.0.0.1", &["10.0.0.2\t203.0.113.9"], "10.0.0.1?"),
        ] {
            assert_eq!(client("x-forwarded-for", peer, lines), expected, "{peer} {lines:?}");
        }
        let many = vec!["10.0.0.2"; MAX_HOPS + 1].join(",");
        assert_eq!(client("x-forwarded-for", "10.0.0.1", &[&many]), "10.0.0.2?", "it ends");
        assert_eq!(client("x-real-ip", "10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn forwarded_is_read_from_its_end() {
        for (lines, expected) in [
            (&["for=203.0.113.9"][..], "203.0.113.9"),
            (&["For=\"203.0.113.9:80\";proto=https;by=10.0.0.1"], "203.0.113.9"),
            (&["for=192.0.2.1, proto=http; for=\"[2001:db8::9]:4711\""], "2001:db8::9"),
            (&["for=192.0.2.1, for=203.0.113.9, for=10.0.0.2;by=\"a,b\""], "203.0.113.9"),
            (&["for=192.0.2.1", "for=203.0.113.9"], "203.0.113.9"),
            // Quotes of the client do not reach the proxy's element.
            (&["for=192.0.2.1;x=\", for=203.0.113.9"], "203.0.113.9"),
            (&["for=192.0.2.1;x=\", for=\"[2001:db8::9]\""], "2001:db8::9"),
            (&["for=192.0.2.1;x=\"\\\", for=\"[2001:db8::9]\""], "2001:db8::9"),
            (&["x=\"a, for=192.0.2.1", "for=203.0.113.9"], "203.0.113.9"),
            // Nobody is named, or two.
            (&["for=unknown"], "10.0.0.1?"),
            (&["for=_hidden"], "10.0.0.1?"),
            (&["proto=https"], "10.0.0.1?"),
            (&["for=192.0.2.1;for=203.0.113.9"], "10.0.0.1?"),
            (&["203.0.113.9"], "10.0.0.1?"),
            (&["for=\"203.0.113.9"], "10.0.0.1?"),
            (&[""], "10.0.0.1?"),
        ] {
            assert_eq!(client("forwarded", "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn neighbours_of_ipv6_are_one_and_those_of_ipv4_are_not() {
        let block = |text: &str| Block::of(text.parse().expect("an address"));
        assert_eq!(block("2001:db8::1"), block("2001:db8::ffff:0:0:1"));
        assert_ne!(block("2001:db8::1"), block("2001:db8:0:1::1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
    }

    #[test]
    fn a_certificate_has_the_names_that_are_written_in_it() {
        let mut params = rcgen::CertificateParams::new(["Auth.Example".to_owned()]).expect("sound names");
        let id = rcgen::string::Ia5String::try_from("spiffe://a.example/login").expect("a sound name");
        params.subject_alt_names.push(rcgen::SanType::URI(id));
        params.distinguished_name.push(rcgen::DnType::CommonName, "common.example");
        let key = rcgen::KeyPair::generate().expect("a key can be made");
        let own = params.self_signed(&key).expect("a certificate can be made");
        let peer = Peer::new(IpAddr::from([127, 0, 0, 1]));
        let has = |peer: &Peer, name: &str| peer.has_one_of(&["other".to_owned(), name.to_owned()]);
        assert!(!has(&peer, "*"), "it has shown none");
        let peer = peer.showing(Some(&[own.der().clone()]));
        assert!(has(&peer, "auth.example") && has(&peer, "spiffe://a.example/login") && has(&peer, "*"));
        assert!(!has(&peer, "example") && !has(&peer, "common.example") && !has(&peer, ""));
    }
}
