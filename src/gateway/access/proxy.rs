//! The PROXY protocol, version 2: a proxy says at the beginning of a connection whose it is.

use std::{io, net::IpAddr, time::Duration};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::Peer;

/// Bytes before the length is known.
const START: usize = 16;
/// The longest header: addresses, and what proxies add of TLS and of themselves.
const MAX: usize = 4096;
/// How it begins when it speaks for itself, as for a health check: version 2, `LOCAL`.
const LOCAL: u8 = 0x20;

/// Reads who is behind a proxy. What comes after the header is left in the stream.
///
/// # Errors
/// When there is no header, or it takes too long.
pub(in crate::gateway) async fn read(stream: &mut TcpStream, proxy: IpAddr, limit: Duration) -> io::Result<Peer> {
    let mut bytes = [0; MAX];
    let whole = async {
        stream.read_exact(&mut bytes[..START]).await?;
        let length = START + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        // Otherwise two of these bytes were no length: whatever this is need not be waited for.
        if !bytes.starts_with(SIGNATURE) || length > MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        stream.read_exact(&mut bytes[START..length]).await?;
        Ok(length)
    };
    let length = timeout(limit, whole).await??;
    peer(&bytes[..length], proxy).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How it begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
fn peer(header: &[u8], proxy: IpAddr) -> Option<Peer> {
    let config = ParseConfig { include_tlvs: false, allow_v1: false, allow_v2: true };
    let (parsed, _) = ProxyHeader::parse(header, config).ok()?;
    match parsed.proxied_address() {
        Some(address) => Some(Peer::new(address.source.ip())),
        None if header.get(SIGNATURE.len()) == Some(&LOCAL) => Some(Peer::new(proxy)),
        // A socket of another kind.
        None => Some(Peer::behind(proxy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: u8, family: u8, length: u16, rest: &[u8]) -> String {
        let header = [SIGNATURE, &[command, family], &length.to_be_bytes(), rest].concat();
        match peer(&header, IpAddr::from([10, 0, 0, 1])) {
            Some(peer) => format!("{peer:?}").replace("names: None", ""),
            None => "none".into(),
        }
    }

    #[test]
    fn a_header_says_whose_the_connection_is() {
        let ipv4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 1, 187];
        let mut ipv6 = [0; 36];
        ipv6[..2].copy_from_slice(&[0x20, 0x01]);
        ipv6[15] = 9;
        let with_more = [&ipv4[..], &[4, 0, 1, 0]].concat();
        for (command, family, length, rest, expected) in [
            (0x21, 0x11, 12, &ipv4[..], "address: 203.0.113.9, vouched: true"),
            (0x21, 0x11, 16, &with_more, "address: 203.0.113.9, vouched: true"),
            (0x21, 0x21, 36, &ipv6, "address: 2001::9, vouched: true"),
            (0x20, 0x00, 0, &[], "address: 10.0.0.1, vouched: true"),
            (0x20, 0x11, 12, &ipv4, "address: 10.0.0.1, vouched: true"),
            (0x21, 0x00, 0, &[], "address: 10.0.0.1, vouched: false"),
            (0x21, 0x31, 216, &[0; 216], "address: 10.0.0.1, vouched: false"),
            (0x21, 0x11, 4, &ipv4[..4], "none"),
            (0x21, 0x11, 12, &ipv4[..8], "none"),
            (0x11, 0x11, 12, &ipv4, "none"),
            (0x22, 0x11, 12, &ipv4, "none"),
            (0x21, 0x44, 12, &ipv4, "none"),
        ] {
            let found = read(command, family, length, rest);
            assert!(found.contains(expected), "{command:#x} {family:#x} {length}: {found}");
        }
        let version_1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\r\n";
        assert!(peer(version_1, IpAddr::from([10, 0, 0, 1])).is_none());
    }
}
