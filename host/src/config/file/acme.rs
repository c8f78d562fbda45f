//! The shape of `acme`: automatic certificates.

use schemars::JsonSchema;
use serde::Deserialize;

/// Certificates that are obtained and renewed automatically (ACME, RFC 8555).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Acme {
    /// The CA's directory.
    #[schemars(extend("default" = Acme::DIRECTORY))]
    pub(in crate::config) directory: Option<String>,
    /// Whom the CA may tell about problems.
    #[schemars(extend("examples" = [["mailto:admin@example.com"]]))]
    pub(in crate::config) contact: Option<Vec<Option<String>>>,
    /// The folder in which account and certificates are kept, readable for nobody else. It must outlive restarts: CAs limit how often
    /// they may be asked.
    #[schemars(length(min = 1), extend("default" = Acme::STORAGE))]
    pub(in crate::config) storage: Option<String>,
    /// How control of a host is proved. After a failure the next one is tried.
    #[schemars(length(min = 1), extend("default" = ["http-01", "tls-alpn-01"]))]
    pub(in crate::config) challenges: Option<Vec<Option<AcmeChallenge>>>,
    /// The hosts. Each gets a certificate of its own.
    #[schemars(required, length(min = 1), extend("examples" = [["example.com", "www.example.com"]]))]
    pub(in crate::config) hosts: Option<Vec<Option<String>>>,
    /// A file with the certificate (PEM) that vouches for the CA's own server, where that is a private one.
    pub(in crate::config) ca: Option<String>,
    /// How many days before its end a certificate is renewed; a short-lived one when a third of its life is left.
    #[schemars(range(min = 1, max = 365), extend("default" = Acme::RENEW_BEFORE_DAYS))]
    pub(in crate::config) renew_before_days: Option<u64>,
    /// That you have read and accept the CA's terms of service. Must be true.
    #[schemars(required)]
    pub(in crate::config) terms_accepted: Option<bool>,
    /// The account with the CA that ours is bound to, where the CA wants that.
    pub(in crate::config) external_account: Option<ExternalAccount>,
}

impl Acme {
    /// Let's Encrypt.
    pub(in crate::config) const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
    /// Beside the configuration.
    pub(in crate::config) const STORAGE: &str = "acme";
    /// A third of 90 days, as Let's Encrypt recommends.
    pub(in crate::config) const RENEW_BEFORE_DAYS: u64 = 30;
}

/// How control of a host is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(in crate::config) enum AcmeChallenge {
    /// By an answer on port 80, for which there must be a listener without TLS.
    #[serde(rename = "http-01")]
    Http01,
    /// By a certificate on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// An account with the CA that exists outside of ACME (RFC 8555 section 7.3.4).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ExternalAccount {
    /// Its key's name, as the CA gave it.
    #[schemars(required, length(min = 1))]
    pub(in crate::config) kid: Option<String>,
    /// Its key, as the CA gave it: base64url. Better taken from a variable: `${ACME_HMAC}`.
    #[schemars(required, length(min = 1))]
    pub(in crate::config) hmac: Option<String>,
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExternalAccount({:?})", self.kid)
    }
}
