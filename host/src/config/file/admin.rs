//! The shape of `admin`: where operators connect and what they may.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ListenerTls, Secret};

/// Where operators connect and what they may: at `address`, at `socket`, or both. Only `tokens`, `client_certificates` and `hosts` change while the gateway runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Admin {
    /// IP address and port. Do not expose it.
    #[schemars(extend("examples" = ["127.0.0.1:9900"]))]
    pub(in crate::config) address: Option<String>,
    /// A Unix socket. Who may open it may do everything.
    pub(in crate::config) socket: Option<AdminSocket>,
    /// Who may do what, by token. Absent: one token with the role `admin` is made at the first start and kept in `admin-token` in the folder `state`.
    #[schemars(length(min = 1))]
    pub(in crate::config) tokens: Option<Vec<Option<AdminToken>>>,
    /// Speak TLS at `address`.
    pub(in crate::config) tls: Option<ListenerTls>,
    /// Who may do what, by certificate. `tls.client` says whose certificates are good.
    #[schemars(length(min = 1))]
    pub(in crate::config) client_certificates: Option<Vec<Option<AdminCertificate>>>,
    /// Names, besides `localhost`, by which a loopback address may be asked. Others are refused: a web page could have its own name lead here.
    #[schemars(extend("examples" = [["gateway.internal"]]))]
    pub(in crate::config) hosts: Option<Vec<Option<String>>>,
    /// The folder of what outlives a restart: the token that was made, the audit log, the history of configurations. Relative to the folder of this file.
    #[schemars(length(min = 1), extend("default" = Admin::STATE))]
    pub(in crate::config) state: Option<String>,
}

impl Admin {
    /// Default of `state`.
    pub(in crate::config) const STATE: &str = "state";
}

/// A Unix socket for operators.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum AdminSocket {
    /// Its path.
    Path(String),
    /// Its path and permissions.
    Options(AdminSocketOptions),
}

/// A Unix socket with its permissions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AdminSocketOptions {
    /// Its path, relative to the folder of this file.
    #[schemars(required, length(min = 1), extend("examples" = ["/run/portcullis/admin.sock"]))]
    pub(in crate::config) path: Option<String>,
    /// Its permissions in octal digits.
    #[schemars(extend("default" = "0600", "pattern" = "^0?[0-7]{3}$"))]
    pub(in crate::config) mode: Option<String>,
}

/// A token: exactly one of `sha256` and `token` says which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AdminToken {
    /// Who has it; the audit log tells.
    #[schemars(required, length(min = 1, max = 64), extend("examples" = ["ci"]))]
    pub(in crate::config) name: Option<String>,
    /// What it allows.
    #[schemars(required)]
    pub(in crate::config) role: Option<AdminRole>,
    /// The SHA-256 of the token in hexadecimal digits: `printf %s TOKEN | sha256sum`.
    #[schemars(extend("pattern" = "^[0-9a-fA-F]{64}$"))]
    pub(in crate::config) sha256: Option<String>,
    /// The token itself, of at least 16 bytes. Better taken from a variable, `${ADMIN_TOKEN}`, or a file, `{"$file": "token"}`.
    pub(in crate::config) token: Option<Secret>,
}

/// A holder of a certificate: exactly one of `subject` and `fingerprint` says which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AdminCertificate {
    /// Who that is; the audit log tells. Absent: the subject.
    #[schemars(length(min = 1, max = 64))]
    pub(in crate::config) name: Option<String>,
    /// What it may do.
    #[schemars(required)]
    pub(in crate::config) role: Option<AdminRole>,
    /// The subject's distinguished name (RFC 4514).
    #[schemars(length(min = 1), extend("examples" = ["CN=alice,O=Example"]))]
    pub(in crate::config) subject: Option<String>,
    /// The SHA-256 of the certificate in hexadecimal digits.
    #[schemars(extend("pattern" = "^[0-9a-fA-F]{64}$"))]
    pub(in crate::config) fingerprint: Option<String>,
}

/// What an operator may do; each includes those before it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AdminRole {
    /// Look at everything that is no secret.
    Read,
    /// Do what keeps it running: purge, drain an endpoint, switch a plugin off.
    Operate,
    /// Change the configuration and the plugins.
    Admin,
}
