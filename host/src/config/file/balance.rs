//! How requests are spread over the endpoints of an upstream, as written.

use schemars::JsonSchema;
use serde::Deserialize;

/// An endpoint: its address, or its address and more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Endpoint {
    /// Host and port.
    Address(String),
    /// Host and port, and its part of the load.
    Weighted(WeightedEndpoint),
}

/// An endpoint and its part of the load.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct WeightedEndpoint {
    /// Host and port.
    #[schemars(required, extend("examples" = ["127.0.0.1:9000"]))]
    pub(in crate::config) address: Option<String>,
    /// Its weight among the others.
    #[schemars(range(min = 1, max = 1000), extend("default" = 1))]
    pub(in crate::config) weight: Option<u64>,
    /// Whether it gets no new requests any more, except from clients that it is sticky for.
    #[schemars(extend("default" = false))]
    pub(in crate::config) drain: Option<bool>,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// The one with the fewest requests under way for its weight.
    LeastConnections,
    /// Of two that chance chooses, the one that answers faster and has less to do.
    P2c,
    /// By chance, by weight.
    Random,
    /// The same one for requests that are alike, see `hash`.
    Hash,
}

/// Which requests are alike, for `"balance": "hash"`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Hash {
    /// What requests that are alike share. Where a request does not have it, the client's address counts.
    #[schemars(extend("default" = "client_address"))]
    pub(in crate::config) by: Option<HashBy>,
    /// The name of the header field or the cookie.
    #[schemars(length(min = 1), extend("examples" = ["x-user", "session"]))]
    pub(in crate::config) name: Option<String>,
    /// Most requests under way at one endpoint, in percent of the average; what is over goes to the next. Absent: no bound.
    #[schemars(range(min = 101, max = 10_000), extend("examples" = [125]))]
    pub(in crate::config) load_percent_max: Option<u64>,
}

/// What requests that are alike share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum HashBy {
    /// The client's address.
    ClientAddress,
    /// The value of a header field.
    Header,
    /// The value of a cookie.
    Cookie,
    /// The path, without the query.
    Path,
}

/// A cookie by which a client stays with its endpoint while that is well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Sticky {
    /// The cookie's name.
    #[schemars(required, length(min = 1), extend("examples" = ["endpoint"]))]
    pub(in crate::config) cookie: Option<String>,
    /// How long the client keeps it, in seconds. Absent: until the browser is closed.
    #[schemars(range(min = 1, max = 34_560_000))]
    pub(in crate::config) ttl_s: Option<u64>,
    /// For which paths it is sent.
    #[schemars(length(min = 1), extend("default" = "/"))]
    pub(in crate::config) path: Option<String>,
    /// Whether it is sent over TLS only.
    #[schemars(extend("default" = false))]
    pub(in crate::config) secure: Option<bool>,
    /// Whether scripts are kept from it.
    #[schemars(extend("default" = true))]
    pub(in crate::config) http_only: Option<bool>,
    /// Whether it is sent with requests that other sites cause.
    #[schemars(extend("default" = "lax"))]
    pub(in crate::config) same_site: Option<SameSite>,
}

/// Whether a cookie is sent with requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum SameSite {
    /// Never.
    Strict,
    /// When the client follows a link.
    Lax,
    /// Always; needs `secure`.
    None,
}
