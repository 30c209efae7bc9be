//! Addresses that are not public, by the registries of special-purpose addresses that IANA keeps.
//!
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>: what is not globally reachable there, multicast, and
//! addresses at which clouds tell machines their credentials, wherever those lie. The first row that fits counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range that calls do not reach by themselves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) network: IpNet,
    /// What kind of address it has.
    pub(super) kind: &'static str,
}

static RANGES: [Range; 42] = [
    v4([169, 254, 169, 254], 32, "cloud metadata"),
    // Alibaba Cloud.
    v4([100, 100, 100, 200], 32, "cloud metadata"),
    // Azure, in a range that is public otherwise.
    v4([168, 63, 129, 16], 32, "cloud metadata"),
    // Oracle Cloud.
    v4([192, 0, 0, 192], 32, "cloud metadata"),
    // "This network"; systems take 0.0.0.0 for themselves.
    v4([0, 0, 0, 0], 8, "unspecified"),
    v4([10, 0, 0, 0], 8, "private"),
    v4([100, 64, 0, 0], 10, "shared (CGNAT)"),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([169, 254, 0, 0], 16, "link-local"),
    v4([172, 16, 0, 0], 12, "private"),
    v4([192, 0, 0, 0], 24, "protocol"),
    v4([192, 0, 2, 0], 24, "documentation"),
    // Relays to 6to4, withdrawn.
    v4([192, 88, 99, 0], 24, "reserved"),
    v4([192, 168, 0, 0], 16, "private"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([255, 255, 255, 255], 32, "broadcast"),
    v4([240, 0, 0, 0], 4, "reserved"),
    // Amazon's, in IPv6.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "cloud metadata"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    // NAT64 of a network's own, which may lead inside.
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "reserved"),
    // Both have an IPv4 address inside, and the server of Teredo also; no provider is reached by them.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking"),
    v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, "ORCHID"),
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, "ORCHID"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private (unique local)"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "private (site-local)"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    // All but 2000::/3, of which alone public addresses are given out.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 3, "reserved"),
    v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, "reserved"),
    v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, "reserved"),
];

const fn v4(octets: [u8; 4], length: u8, kind: &'static str) -> Range {
    let [a, b, c, d] = octets;
    Range { network: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)), kind }
}

const fn v6(parts: [u16; 8], length: u8, kind: &'static str) -> Range {
    let [a, b, c, d, e, f, g, h] = parts;
    Range { network: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)), kind }
}

/// The range of an address that is not public.
pub(super) fn of(address: IpAddr) -> Option<&'static Range> {
    let address = inner(address);
    RANGES.iter().find(|range| range.network.contains(&address))
}

/// What a packet to this address reaches: an address of IPv4 may be written into one of IPv6, as mapped (RFC 4291,
/// section 2.5.5.2) or for NAT64 (RFC 6052), which is how hosts without IPv4 reach everything that has nothing else.
pub(super) fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address else { return address };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => IpAddr::V6(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<&'static str> {
        of(text.parse().expect("an address")).map(|range| range.kind)
    }

    #[test]
    fn what_is_not_public_is_known() {
        for (addresses, expected) in [
            ("0.0.0.0 0.1.2.3 ::", "unspecified"),
            ("127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 64:ff9b::127.0.0.1", "loopback"),
            ("10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255", "private"),
            ("::ffff:10.1.2.3 ::ffff:172.20.0.1 ::ffff:192.168.1.1 64:ff9b::10.1.2.3 64:ff9b::c0a8:101", "private"),
            ("fc00:: fd12:3456:789a::1 fdff:ffff::1", "private (unique local)"),
            ("fec0::1 feff::1", "private (site-local)"),
            ("169.254.0.1 169.254.170.2 fe80::1 febf::1 ::ffff:169.254.1.1 64:ff9b::a9fe:101", "link-local"),
            ("169.254.169.254 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254", "cloud metadata"),
            ("::ffff:169.254.169.254 64:ff9b::a9fe:a9fe ::ffff:a83f:8110", "cloud metadata"),
            ("100.64.0.0 100.127.255.255 ::ffff:100.64.0.1", "shared (CGNAT)"),
            ("192.0.0.0 192.0.0.8 192.0.0.255 2001:1::1 2001:1ff::1", "protocol"),
            ("192.0.2.1 198.51.100.255 203.0.113.0 2001:db8::1 3fff::1 3fff:fff::1", "documentation"),
            ("198.18.0.0 198.19.255.255 2001:2::1", "benchmarking"),
            ("224.0.0.1 239.255.255.255 ff02::1 ff0e::1 ::ffff:224.0.0.1", "multicast"),
            ("255.255.255.255 ::ffff:255.255.255.255", "broadcast"),
            (
                "240.0.0.1 255.255.255.254 192.88.99.1 ::127.0.0.1 ::ffff:0:127.0.0.1 4000::1 8000::1 f000::1",
                "reserved",
            ),
            ("64:ff9b:1::a00:1 64:ff9b:1:ffff::1", "local NAT64"),
            ("2002:7f00:1:: 2002:808:808::1", "6to4"),
            ("2001:0:7f00:1::1 2001::1", "Teredo"),
            ("2001:10::1 2001:2f::1", "ORCHID"),
            ("100::1", "discard"),
            ("5f00::1", "segment routing"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(kind(address), Some(expected), "{address}");
            }
        }
    }

    #[test]
    fn what_is_public_is_reached_up_to_the_borders() {
        for address in "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
             168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 \
             192.31.196.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 \
             223.255.255.255 ::ffff:8.8.8.8 64:ff9b::808:808 2000::1 2001:200::1 2001:4860:4860::8888 2001:db7::1 \
             2001:db9::1 2003::1 2606:4700::1111 2620:4f:8000::1 3ffe::1 3fff:1000::1"
            .split_whitespace()
        {
            assert_eq!(kind(address), None, "{address}");
        }
    }
}
