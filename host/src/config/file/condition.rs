//! How the health of the gateway is told to clients, and what its modes of degradation do, as written.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::TIMEOUT_MS_MAX;
use crate::modes;

/// How the health of the gateway is told to clients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PublicHealth {
    /// The paths that are answered before any route, with a word and without details. Absent: none.
    pub(in crate::config) public: Option<PublicPaths>,
    /// The listeners that answer, by their addresses. Absent: all.
    #[schemars(length(min = 1), extend("examples" = [["0.0.0.0:8080"]]))]
    pub(in crate::config) listeners: Option<Vec<Option<String>>>,
}

/// Paths at which clients may ask. A path that is absent is not answered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PublicPaths {
    /// 200 while every worker does its work, otherwise 503.
    #[schemars(length(min = 1), extend("examples" = ["/livez"]))]
    pub(in crate::config) livez: Option<String>,
    /// 200 when clients should be sent here, otherwise 503.
    #[schemars(length(min = 1), extend("examples" = ["/readyz"]))]
    pub(in crate::config) readyz: Option<String>,
    /// 200 once the gateway has started, before that 503.
    #[schemars(length(min = 1), extend("examples" = ["/startupz"]))]
    pub(in crate::config) startupz: Option<String>,
}

/// What the modes of degradation do: `serve_stale`, `cache_only`, `read_only` and `maintenance`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Modes {
    /// How stale something may be that `serve_stale` and `cache_only` serve, in seconds. Written down, everything that may be served stale is
    /// also kept so long, as far as the memory goes; absent, an hour of what can be validated is kept.
    #[schemars(range(max = Modes::SECONDS_MAX), extend("default" = modes::Settings::STALE_MAX.as_secs()))]
    pub(in crate::config) serve_stale_max_seconds: Option<u64>,
    /// What `Retry-After` says to clients that are refused, in seconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX / 1000), extend("default" = modes::Settings::RETRY_AFTER.as_secs()))]
    pub(in crate::config) retry_after_seconds: Option<u64>,
    /// What `maintenance` shows, and to whom.
    pub(in crate::config) maintenance: Option<Maintenance>,
}

impl Modes {
    /// Ten years: what is longer was meant in another unit.
    pub(in crate::config) const SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;
}

/// What `maintenance` shows, and to whom.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Maintenance {
    /// The body of the answer. Absent: that of `file`, or the usual JSON.
    pub(in crate::config) body: Option<String>,
    /// A file with the body, read when the configuration is and when it changes.
    #[schemars(length(min = 1), extend("examples" = ["maintenance.html"]))]
    pub(in crate::config) file: Option<String>,
    /// What the body is.
    #[schemars(length(min = 1), extend("default" = Maintenance::CONTENT_TYPE))]
    pub(in crate::config) content_type: Option<String>,
    /// Networks and addresses of clients that are served as if nothing were.
    #[schemars(extend("examples" = [["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]]))]
    pub(in crate::config) allow: Option<Vec<Option<String>>>,
}

impl Maintenance {
    /// What people see in a browser.
    pub(in crate::config) const CONTENT_TYPE: &str = "text/html; charset=utf-8";
}

impl fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maintenance({:?})", self.file)
    }
}
