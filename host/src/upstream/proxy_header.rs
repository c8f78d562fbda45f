//! Writes the header of the PROXY protocol (HAProxy, `proxy-protocol.txt`): for whom a connection is made.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};

use super::wire::{Ends, ProxyProtocol};

/// The bytes that come before all others on a connection.
pub(super) fn header(version: ProxyProtocol, (client, local): Ends) -> io::Result<Vec<u8>> {
    if client.ip().is_unspecified() {
        // We ask on our own behalf: for nobody, as the document wants health checks to say.
        return match version {
            ProxyProtocol::V1 => Ok(b"PROXY UNKNOWN\r\n".to_vec()),
            ProxyProtocol::V2 => v2::Builder::new(
                v2::Version::Two | v2::Command::Local,
                v2::AddressFamily::Unspecified | v2::Protocol::Unspecified,
            )
            .build(),
        };
    }
    // Both addresses are of one family; where they are not, IPv4 is written as IPv6.
    let ends = match (client, local) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => (client, local),
        _ => (widened(client), widened(local)),
    };
    match version {
        ProxyProtocol::V1 => Ok(v1::Addresses::from(ends).to_string().into_bytes()),
        ProxyProtocol::V2 => {
            v2::Builder::with_addresses(v2::Version::Two | v2::Command::Proxy, v2::Protocol::Stream, ends).build()
        }
    }
}

fn widened(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(ip) => SocketAddr::new(ip.into(), address.port()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_the_document_says() {
        let check = |version, client: &str, local: &str, expected: &[u8]| {
            assert_eq!(header(version, (client.parse().unwrap(), local.parse().unwrap())).unwrap(), expected);
        };
        let (one, two) = ("192.0.2.1:4000", "192.0.2.2:443");
        check(ProxyProtocol::V1, one, two, b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n");
        check(ProxyProtocol::V1, "[2001:db8::1]:1", "[::1]:2", b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n");
        check(ProxyProtocol::V1, "[2001:db8::1]:1", "192.0.2.2:2", b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 1 2\r\n");
        let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x0f\xa0\x01\xbb";
        check(ProxyProtocol::V2, one, two, binary);
        let nobody = "0.0.0.0:0";
        check(ProxyProtocol::V1, nobody, nobody, b"PROXY UNKNOWN\r\n");
        check(ProxyProtocol::V2, nobody, nobody, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
