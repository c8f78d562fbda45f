//! The PROXY protocol, versions 1 and 2: a load balancer in front of us says for whom it connects (HAProxy, `proxy-protocol.txt`).
//!
//! Read before anything else, and not a byte further than the header. Who is trusted to send one must send one: what
//! follows would else be read as a header on one connection and as a request on another.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::http::Network;

/// What every header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, line end included (section 2.1).
const LINE_BYTES_MAX: usize = 107;
/// Longest header of version 2 that is taken: addresses and some extensions, of which none is used.
const HEADER_BYTES_MAX: usize = 4096;
/// How long a header may take. It is sent in one piece, at once.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who may say for whom it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The networks whose connections begin with a header. All others are clients like any.
    pub from: Vec<Network>,
}

/// Why a connection has no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("it did not come in time")]
    Timeout,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is malformed")]
    Malformed,
}

/// Client's and our own address as the client sees them.
pub(super) type Ends = (SocketAddr, SocketAddr);

impl ProxyProtocol {
    /// Whether a connection from there begins with a header.
    pub(super) fn expects(&self, address: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(address))
    }
}

/// Reads the header. None where it says that the connection is the load balancer's own, or for an address that is none of ours.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<Ends>, HeaderError> {
    match tokio::time::timeout(TIMEOUT, read_header(stream)).await {
        Ok(header) => ends(&header?),
        Err(_) => Err(HeaderError::Timeout),
    }
}

async fn read_header(stream: &mut TcpStream) -> Result<Vec<u8>, HeaderError> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let [_, _, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > HEADER_BYTES_MAX {
            return Err(HeaderError::Malformed);
        }
        header.extend_from_slice(&rest);
        let end = header.len() + length;
        (&mut *stream).take(length as u64).read_to_end(&mut header).await?;
        return if header.len() == end {
            Ok(header)
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        };
    }
    if !header.starts_with(b"PROXY ") {
        return Err(HeaderError::Malformed);
    }
    // A byte at a time: what follows the line is not ours to read.
    while !header.ends_with(b"\n") {
        if header.len() >= LINE_BYTES_MAX {
            return Err(HeaderError::Malformed);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

fn ends(header: &[u8]) -> Result<Option<Ends>, HeaderError> {
    let v4 = |ip: &v2::IPv4| {
        let client = (ip.source_address, ip.source_port).into();
        Some((client, (ip.destination_address, ip.destination_port).into()))
    };
    let v6 = |ip: &v2::IPv6| {
        let client = (ip.source_address, ip.source_port).into();
        Some((client, (ip.destination_address, ip.destination_port).into()))
    };
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match &header.addresses {
            v1::Addresses::Tcp4(ip) => v4(ip),
            v1::Addresses::Tcp6(ip) => v6(ip),
            v1::Addresses::Unknown => None,
        }),
        // A health check of the load balancer itself (section 2.2).
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match &header.addresses {
            v2::Addresses::IPv4(ip) => v4(ip),
            v2::Addresses::IPv6(ip) => v6(ip),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(HeaderError::Malformed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of these bytes, and what is left behind them.
    async fn of(sent: &[u8]) -> (Result<Option<Ends>, HeaderError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        let read = read(&mut stream).await;
        let mut left = Vec::new();
        stream.read_to_end(&mut left).await.unwrap();
        (read, left)
    }

    fn ends(client: &str, local: &str) -> Ends {
        (client.parse().unwrap(), local.parse().unwrap())
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_behind_them() {
        let (read, left) = of(b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\nGET / HTTP/1.1\r\n").await;
        assert_eq!(read.unwrap(), Some(ends("192.0.2.7:1234", "198.51.100.1:443")));
        assert_eq!(left, b"GET / HTTP/1.1\r\n");
        let addresses = v2::Addresses::from(ends("[2001:db8::7]:1234", "[2001:db8::1]:443"));
        let header = v2::Builder::with_addresses(0x21, v2::Protocol::Stream, addresses).build().unwrap();
        let (read, left) = of(&[&header[..], b"\x16\x03"].concat()).await;
        assert_eq!(read.unwrap(), Some(ends("[2001:db8::7]:1234", "[2001:db8::1]:443")));
        assert_eq!(left, b"\x16\x03");
    }

    #[tokio::test]
    async fn who_connects_for_itself_says_so() {
        assert_eq!(of(b"PROXY UNKNOWN\r\nrest").await.0.unwrap(), None);
        let local = v2::Builder::new(0x20, 0x00).build().unwrap();
        assert_eq!(of(&local).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY ".to_vec(), b"x".repeat(200), b"\r\n".to_vec()].concat();
        let mut bomb = SIGNATURE.to_vec();
        bomb.extend([0x21, 0x11, 0xff, 0xff]);
        for sent in
            [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PROXY TCP4 1.2.3.4 nonsense\r\n", b"PROX", &long, &bomb]
        {
            assert!(of(sent).await.0.is_err(), "{:?}", String::from_utf8_lossy(sent));
        }
    }
}
