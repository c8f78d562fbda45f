//! Which upstream a route asks, and how, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Send the request to an upstream: either `upstream` or `split`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["upstream"]}, {"required": ["split"]}]))]
pub(in crate::config) struct Proxy {
    /// Its name in `upstreams`.
    #[schemars(extend("examples" = ["demo"]))]
    pub(in crate::config) upstream: Option<String>,
    /// Several upstreams that share the requests.
    #[schemars(length(min = 1), extend("examples" = [[{"upstream": "stable", "weight": 95}, {"upstream": "canary", "weight": 5}]]))]
    pub(in crate::config) split: Option<Vec<Option<SplitShare>>>,
    /// What requests have in common that go to the same one of them. Absent: nothing, they are dealt out.
    pub(in crate::config) split_by: Option<SplitBy>,
    /// What becomes of the path on its way to the upstream. The query stays.
    pub(in crate::config) rewrite: Option<Rewrite>,
    /// The host that the upstream is asked for. Absent: the one that the client asked for.
    #[schemars(extend("examples" = ["app.internal"]))]
    pub(in crate::config) host: Option<String>,
    /// Send copies of requests to another upstream, whose answers are thrown away.
    pub(in crate::config) mirror: Option<Mirror>,
    /// The protocols that clients may change to, by `Upgrade` in HTTP/1.1 or extended CONNECT in HTTP/2.
    #[schemars(extend("uniqueItems" = true, "default" = ["websocket"]))]
    pub(in crate::config) upgrades: Option<Vec<Option<String>>>,
}

/// An upstream's share of the requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SplitShare {
    /// Its name in `upstreams`.
    #[schemars(required)]
    pub(in crate::config) upstream: Option<String>,
    /// How much, beside the weights of the others. 0: nothing.
    #[schemars(required, range(max = 1_000_000))]
    pub(in crate::config) weight: Option<u32>,
}

/// What requests have in common that go to the same upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum SplitBy {
    /// The client's address.
    Client,
    /// The value of this header field; requests without it are dealt out.
    Header(String),
    /// The value of this cookie; requests without it are dealt out.
    Cookie(String),
}

/// What becomes of a path: `strip_prefix` and `add_prefix`, or `path`, or `regex` and `to`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"anyOf": [{"required": ["strip_prefix"]}, {"required": ["add_prefix"]}]},
    {"required": ["path"]},
    {"required": ["regex", "to"]},
]))]
pub(in crate::config) struct Rewrite {
    /// What is taken off the beginning, in whole parts.
    #[schemars(extend("examples" = ["/api"]))]
    pub(in crate::config) strip_prefix: Option<String>,
    /// What comes before the rest.
    #[schemars(extend("examples" = ["/v2"]))]
    pub(in crate::config) add_prefix: Option<String>,
    /// Another path. The parameters of the route's path are filled in.
    #[schemars(extend("examples" = ["/users/{id}/profile", "/new/{rest}"]))]
    pub(in crate::config) path: Option<String>,
    /// A regular expression for the whole path.
    #[schemars(extend("examples" = ["/old/(.*)"]))]
    pub(in crate::config) regex: Option<String>,
    /// What comes in place of a path that `regex` matches. `{1}` and `{name}` are its groups.
    #[schemars(extend("examples" = ["/new/{1}"]))]
    pub(in crate::config) to: Option<String>,
}

/// Copies of requests for another upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Mirror {
    /// Its name in `upstreams`.
    #[schemars(required)]
    pub(in crate::config) upstream: Option<String>,
    /// Of a hundred requests, so many.
    #[schemars(range(max = 100), extend("default" = Mirror::PERCENT))]
    pub(in crate::config) percent: Option<u8>,
    /// Longest request body that is copied, in bytes. Requests with longer ones have no copy.
    #[schemars(range(max = 1_u64 << 30), extend("default" = Mirror::BODY_BYTES_MAX))]
    pub(in crate::config) body_bytes_max: Option<u64>,
}

impl Mirror {
    /// Default of `percent`.
    pub(in crate::config) const PERCENT: u8 = 100;
    /// Default of `body_bytes_max`: a copy is held in memory.
    pub(in crate::config) const BODY_BYTES_MAX: u64 = 64 * 1024;
}
