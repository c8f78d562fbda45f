//! How upstreams are told who the client is, as written.

use schemars::JsonSchema;
use serde::Deserialize;

/// How upstreams are told who the client is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Forwarding {
    /// Which header fields are sent.
    #[schemars(extend("default" = "x"))]
    pub(in crate::config) fields: Option<ForwardingFields>,
    /// Networks of proxies in front of the gateway, such as `10.0.0.0/8`. What comes from them keeps its forwarding fields and request id,
    /// and its client is who `X-Forwarded-For` says, from its end the first address that is in none of these networks: rate limits, bans,
    /// address lists, routes, plugins and logs go by that. What others send is treated as `incoming` says.
    #[schemars(extend("default" = []))]
    pub(in crate::config) trusted: Option<Vec<Option<String>>>,
    /// What becomes of forwarding fields and request ids that came with the request.
    #[schemars(extend("default" = "replace"))]
    pub(in crate::config) incoming: Option<IncomingForwarding>,
}

/// Which header fields are sent.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ForwardingFields {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    X,
    /// `Forwarded` (RFC 7239).
    Standard,
    /// All of them.
    Both,
    /// None of them.
    None,
}

/// What becomes of forwarding fields that came with the request.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum IncomingForwarding {
    /// They are removed: anyone could have written them.
    Replace,
    /// They are kept and added to: only for clients that are proxies of yours.
    Append,
}
