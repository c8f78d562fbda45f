//! How the endpoints of an upstream are spoken to, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether and how an upstream is spoken to by TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum UpstreamTls {
    /// With its defaults, or not at all.
    Switch(bool),
    /// As it says.
    Settings(Box<UpstreamTlsSettings>),
}

/// How an upstream is spoken to by TLS. Files are read again when they change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamTlsSettings {
    /// Who may have issued its certificate, as PEM. Absent: those whom the system trusts.
    #[schemars(length(min = 1), extend("examples" = ["tls/upstreams.pem"]))]
    pub(in crate::config) ca: Option<String>,
    /// The name that is asked for and that its certificate must have. Absent: the host of the endpoint.
    #[schemars(length(min = 1), extend("examples" = ["app.internal"]))]
    pub(in crate::config) server_name: Option<String>,
    /// The certificate that we show, as PEM, with the issuers behind it.
    #[schemars(length(min = 1), extend("examples" = ["tls/gateway.pem"]))]
    pub(in crate::config) certificate: Option<String>,
    /// Its private key as PEM, not encrypted.
    #[schemars(length(min = 1), extend("examples" = ["tls/gateway.key"]))]
    pub(in crate::config) key: Option<String>,
    /// SHA-256 of public keys (SubjectPublicKeyInfo) in base64, of which its certificate must have one.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(in crate::config) pins: Option<Vec<Option<String>>>,
    /// Whether its certificate is verified. Without, anybody on the way could be the upstream, unless there are pins.
    #[schemars(extend("default" = true))]
    pub(in crate::config) verify: Option<bool>,
}

/// The version of HTTP that an upstream is spoken to in.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, in cleartext with prior knowledge.
    Http2,
    /// What the upstream prefers in TLS.
    Auto,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum UpstreamProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}
