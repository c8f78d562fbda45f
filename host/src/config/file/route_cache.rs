//! What a route does with its responses as a cache, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cache::policy;

/// Whether responses are cached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum RouteCache {
    /// As HTTP says (RFC 9111), or not at all.
    Switch(bool),
    /// Like this.
    Settings(Box<RouteCacheSettings>),
}

/// What is different from what HTTP says (RFC 9111).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RouteCacheSettings {
    /// A response that does not say how long it is fresh is taken for fresh for so many hundredths of the time since it was modified. 0: never.
    #[schemars(range(max = 100), extend("default" = 10))]
    pub(in crate::config) heuristic_percent: Option<u8>,
    /// But no longer than this.
    #[schemars(range(max = 1_u64 << 31), extend("default" = 86_400))]
    pub(in crate::config) heuristic_max_seconds: Option<u64>,
    /// For how long after its freshness a response is used while it is fetched anew, where it does not say itself.
    #[schemars(range(max = 1_u64 << 31), extend("default" = 0))]
    pub(in crate::config) stale_while_revalidate_seconds: Option<u64>,
    /// For how long after its freshness a response is used instead of an answer of 500, 502, 503 or 504, where it does not say itself.
    #[schemars(range(max = 1_u64 << 31), extend("default" = 0))]
    pub(in crate::config) stale_if_error_seconds: Option<u64>,
    /// For how long after its freshness a response is used where the upstream gives no answer, where it does not say itself.
    #[schemars(range(max = 1_u64 << 31), extend("default" = 60))]
    pub(in crate::config) stale_if_unreachable_seconds: Option<u64>,
    /// What becomes of responses that set cookies and say that they are fresh.
    #[schemars(extend("default" = "store"))]
    pub(in crate::config) set_cookie: Option<CachedCookies>,
    /// What becomes of responses to requests with `Authorization`.
    #[schemars(extend("default" = "as_said"))]
    pub(in crate::config) authorization: Option<CachedAuthorization>,
    /// Whether `Cache-Control` and `Pragma` of clients count.
    #[schemars(extend("default" = "heard"))]
    pub(in crate::config) client_directives: Option<CachedClients>,
    /// Fields that count instead of `Cache-Control`, the first that is there (RFC 9213).
    #[schemars(extend("uniqueItems" = true, "default" = ["cdn-cache-control"]))]
    pub(in crate::config) targeted: Option<Vec<Option<String>>>,
    /// For how long a request waits for another that fetches the same, in milliseconds. 0: not at all.
    #[schemars(range(max = 600_000), extend("default" = 5000))]
    pub(in crate::config) wait_max_ms: Option<u64>,
    /// For how long requests do not wait for one another after a response that could not be stored.
    #[schemars(range(max = 86_400), extend("default" = 5))]
    pub(in crate::config) pass_seconds: Option<u64>,
    /// What can be purged at once; several routes may have one. Absent: the route's name.
    #[schemars(length(min = 1, max = 128), extend("examples" = ["shop"]))]
    pub(in crate::config) namespace: Option<String>,
}

/// What becomes of responses that set cookies.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CachedCookies {
    /// They are stored, cookies included.
    Store,
    /// They are stored without the cookies.
    Strip,
    /// They are not stored.
    Refuse,
}

impl From<CachedCookies> for policy::SetCookie {
    fn from(written: CachedCookies) -> Self {
        match written {
            CachedCookies::Store => Self::Store,
            CachedCookies::Strip => Self::Strip,
            CachedCookies::Refuse => Self::Refuse,
        }
    }
}

/// What becomes of responses to requests with `Authorization`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CachedAuthorization {
    /// They are stored where they say that they may be.
    AsSaid,
    /// They are not stored.
    Refuse,
}

impl From<CachedAuthorization> for policy::Authorization {
    fn from(written: CachedAuthorization) -> Self {
        match written {
            CachedAuthorization::AsSaid => Self::AsSaid,
            CachedAuthorization::Refuse => Self::Refuse,
        }
    }
}

/// Whether clients have a say.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CachedClients {
    /// They do.
    Heard,
    /// They do not: nobody can make the gateway fetch what it has.
    Ignored,
}

impl From<CachedClients> for policy::ClientDirectives {
    fn from(written: CachedClients) -> Self {
        match written {
            CachedClients::Heard => Self::Heard,
            CachedClients::Ignored => Self::Ignored,
        }
    }
}
