//! How a listener speaks TLS, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TIMEOUT_MS_MAX;

/// How a listener speaks TLS. Files are read again when they change; connections that stand are not touched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ListenerTls {
    /// Certificates; which of them is shown depends on the host that the client asks for. Those that `acme` obtains come before them.
    #[schemars(length(min = 1), extend("examples" = [[{"certificate": "tls/example.pem", "key": "tls/example.key"}]]))]
    pub(in crate::config) certificates: Option<Vec<Option<CertificateFiles>>>,
    /// That the certificates which `acme` obtains are enough, so that `certificates` may be absent.
    #[schemars(extend("default" = false))]
    pub(in crate::config) acme: Option<bool>,
    /// What becomes of a client that asks for a host that no certificate names: it is shown the first, or refused.
    #[schemars(extend("default" = "first"))]
    pub(in crate::config) unknown_host: Option<UnknownHost>,
    /// The lowest version. `1.2` is Mozilla's "intermediate", `1.3` its "modern".
    #[schemars(extend("default" = "1.2"))]
    pub(in crate::config) version_min: Option<TlsVersion>,
    /// Cipher suites by their IANA names, in order of preference. Absent: all that are sound, in the client's order.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "examples" = [["TLS_AES_128_GCM_SHA256"]]))]
    pub(in crate::config) ciphers: Option<Vec<Option<String>>>,
    /// Ask clients for certificates.
    pub(in crate::config) client: Option<TlsClient>,
    /// Longest time for the handshake, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = ListenerTls::HANDSHAKE_TIMEOUT_MS))]
    pub(in crate::config) handshake_timeout_ms: Option<u64>,
}

impl ListenerTls {
    /// A handshake takes two round trips; even over a bad line that is a second or two.
    pub(in crate::config) const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
}

/// A certificate and its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CertificateFiles {
    /// The chain as PEM, the end-entity certificate first.
    #[schemars(required, length(min = 1), extend("examples" = ["tls/example.pem"]))]
    pub(in crate::config) certificate: Option<String>,
    /// The private key as PEM, not encrypted.
    #[schemars(required, length(min = 1), extend("examples" = ["tls/example.key"]))]
    pub(in crate::config) key: Option<String>,
    /// An OCSP response as DER, sent along with the certificate.
    #[schemars(length(min = 1))]
    pub(in crate::config) ocsp: Option<String>,
}

/// What becomes of a client that asks for a host that no certificate names.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum UnknownHost {
    /// It is shown the first certificate.
    First,
    /// It is refused.
    Refuse,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(in crate::config) enum TlsVersion {
    /// 1.2 and 1.3.
    #[serde(rename = "1.2")]
    Tls12,
    /// Only 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Certificates of clients.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct TlsClient {
    /// Who may have issued them, as PEM.
    #[schemars(required, length(min = 1), extend("examples" = ["tls/clients.pem"]))]
    pub(in crate::config) ca: Option<String>,
    /// Whether every client must show one.
    #[schemars(extend("default" = "required"))]
    pub(in crate::config) mode: Option<TlsClientMode>,
}

/// Whether every client must show a certificate.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum TlsClientMode {
    /// Who has none is refused.
    Required,
    /// Who has none is let through without one; a bad one is refused.
    Optional,
}
