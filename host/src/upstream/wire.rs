//! How the endpoints of an upstream are spoken to below requests: TLS, version of HTTP, PROXY header.
//!
//! Only values; [`super::stream`] acts on them. Two that differ cannot share connections.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::exchange::Client;

/// How the endpoints of an upstream are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wire {
    /// By TLS, if at all.
    pub tls: Option<Tls>,
    /// In which version of HTTP.
    pub protocol: Protocol,
    /// Whether each connection begins with the client's address.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The version of HTTP that an upstream is spoken to in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed on in TLS, and in cleartext with prior knowledge (RFC 9113 section 3.3).
    Http2,
    /// What the endpoint prefers in TLS.
    Auto,
}

impl Protocol {
    /// What is offered in TLS (RFC 7301), best first.
    pub const fn offer(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
            Self::Auto => &[b"h2", b"http/1.1"],
        }
    }
}

/// A version of the PROXY protocol (HAProxy, `proxy-protocol.txt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// How an upstream is spoken to by TLS. Equal where the digests are, so that connections stay when a configuration is read anew.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) requests: Arc<ClientConfig>,
    /// The same where only HTTP/1.1 will do.
    pub(super) http1: Arc<ClientConfig>,
    /// Who the endpoint must be; absent for its own host.
    pub(super) name: Option<ServerName<'static>>,
    digest: [u8; 32],
}

impl Tls {
    /// Speaks as `config` says, of which `digest` tells what it was made of. Without a `name`, an endpoint must have a certificate
    /// for its own host.
    pub fn new(config: Arc<ClientConfig>, name: Option<ServerName<'static>>, digest: [u8; 32]) -> Self {
        let mut http1 = ClientConfig::clone(&config);
        http1.alpn_protocols = Protocol::Http1.offer().iter().map(|protocol| protocol.to_vec()).collect();
        Self { requests: config, http1: Arc::new(http1), name, digest }
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.name == other.name
    }
}

impl Eq for Tls {}

/// Client's address and ours as the client sees it.
pub(super) type Ends = (SocketAddr, SocketAddr);

impl Wire {
    /// What a connection says of the client, so that it is for this client only.
    pub(super) fn ends(&self, client: &Client) -> Option<Ends> {
        self.proxy_protocol.map(|_| (client.address, client.local))
    }
}
