//! Certificates that come and go while the gateway runs, and what it shows to prove that a host is its own.
//!
//! `acme` writes, TLS handshakes and the pipeline read; neither knows the other. There is one of each per process, because a
//! host belongs to the process and not to a generation. Nothing here talks to anybody or keeps files.

mod challenges;
mod der;
mod issued;
pub mod ocsp;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::sync::{Arc, LazyLock};

use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

pub use challenges::{Challenges, Shown};
pub use issued::Issued;

/// The only application protocol that a TLS-ALPN-01 validation offers (RFC 8737 section 6.2). A listener must offer it
/// behind its own, and closes the connection once the handshake is done.
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// The process's proofs.
pub fn challenges() -> &'static Challenges {
    static SHARED: LazyLock<Challenges> = LazyLock::new(Challenges::default);
    &SHARED
}

/// The process's obtained certificates.
pub fn issued() -> &'static Issued {
    static SHARED: LazyLock<Issued> = LazyLock::new(Issued::default);
    &SHARED
}

/// What to show to a client that begins a TLS handshake, where it asks for a host whose certificate is obtained here.
/// To be asked before the certificates from files.
pub fn resolve(hello: &ClientHello<'_>) -> Resolved {
    let Some(host) = hello.server_name() else { return Resolved::Unknown };
    // RFC 8737 section 3: a validation offers this protocol and no other.
    let validation = hello.alpn().is_some_and(|protocols| protocols.eq([ACME_TLS_ALPN]));
    choose(&host.to_ascii_lowercase(), validation)
}

fn choose(host: &str, validation: bool) -> Resolved {
    if validation {
        return challenges().alpn_certificate(host).map_or(Resolved::Refused, Resolved::Certificate);
    }
    issued().certified(host).map_or(Resolved::Unknown, Resolved::Certificate)
}

/// What to show to a client.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// This.
    Certificate(Arc<CertifiedKey>),
    /// Nothing is known of that host here: look elsewhere.
    Unknown,
    /// Nothing at all: it is a validation of something that is not being validated (RFC 8737 section 3).
    Refused,
}
