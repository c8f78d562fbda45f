//! TLS for both sides: what a listener shows its clients, and what an upstream is trusted by (rustls, RFC 8446, RFC 5246).
//!
//! Files are read and understood here, once per configuration; what is wrong names the file and the remedy. No sockets.

mod client;
mod facts;
mod identity;
mod pem;
mod resolver;
mod server;
mod shown;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests;

use std::path::PathBuf;

pub use client::{ClientSettings, Verification, client, client_digest};
pub use facts::facts;
pub use identity::{EXPIRY_NEAR, Identity};
pub use pem::PEM_BYTES_MAX;
pub use server::{Acceptor, Slot, server};
pub use shown::Shown;

/// What a listener shows its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Certificates, besides those that are obtained while the gateway runs. The first is shown to clients that ask for a host of none of them, unless `unknown_host` says
    /// otherwise.
    pub certificates: Vec<IdentityFiles>,
    /// What becomes of a client that asks for a host that no certificate names, or for none.
    pub unknown_host: UnknownHost,
    /// The lowest version of TLS.
    pub version_min: Version,
    /// Cipher suites by their IANA names in order of preference; empty for all that are sound, in the client's order.
    pub ciphers: Vec<String>,
    /// Whether clients show certificates.
    pub clients: Option<ClientCertificates>,
    /// The protocols that may follow (RFC 7301), in order of preference.
    pub protocols: Vec<&'static [u8]>,
}

/// Where a certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The chain as PEM, the end-entity certificate first.
    pub certificate: PathBuf,
    /// The private key as PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
    /// An OCSP response as DER, sent along (RFC 6066 section 8).
    pub ocsp: Option<PathBuf>,
}

/// What becomes of a client that asks for a host that no certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownHost {
    /// It is shown the first certificate.
    #[default]
    First,
    /// It is refused (`unrecognized_name`, RFC 6066 section 3).
    Refuse,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// 1.2: with ECDHE and AEAD only, Mozilla's "intermediate".
    #[default]
    Tls12,
    /// 1.3: Mozilla's "modern".
    Tls13,
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Who may have issued them, as PEM.
    pub authorities: PathBuf,
    /// Whether every client must show one.
    pub demand: Demand,
}

/// Whether every client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Who has none is refused.
    Required,
    /// Who has none is let through without one; a bad one is refused.
    Optional,
}

/// What is wrong with a file or a setting, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct TlsError {
    /// Which setting: its keys below the TLS settings, with indices as numbers.
    pub place: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl TlsError {
    fn new(place: &[&str], what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let place = place.iter().map(|&key| key.to_owned()).collect();
        Self { place, what: what.into(), remedy: remedy.into() }
    }

    /// The same, further down.
    fn below(mut self, place: &[&str]) -> Self {
        self.place.splice(0..0, place.iter().map(|&key| key.to_owned()));
        self
    }
}
