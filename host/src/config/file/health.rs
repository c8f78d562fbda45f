//! How endpoints are asked whether they are well, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TIMEOUT_MS_MAX;

/// How endpoints are asked whether they are well. Those that are not get no requests while others are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Health {
    /// The path that is asked for, with the query if there is one.
    #[schemars(length(min = 1), extend("default" = Health::PATH, "examples" = ["/healthz"]))]
    pub(in crate::config) path: Option<String>,
    /// The method.
    #[schemars(length(min = 1), extend("default" = "GET"))]
    pub(in crate::config) method: Option<String>,
    /// The `Host`. Absent: host and port of the endpoint.
    #[schemars(length(min = 1))]
    pub(in crate::config) host: Option<String>,
    /// The statuses of which the answer must have one. Absent: 200 to 299.
    #[schemars(length(min = 1), inner(range(min = 200, max = 599)), extend("examples" = [[200, 204]]))]
    pub(in crate::config) status: Option<Vec<Option<u16>>>,
    /// A text that the body must contain, within its first 64 KiB.
    #[schemars(length(min = 1))]
    pub(in crate::config) body: Option<String>,
    /// A regular expression that the body must match.
    #[schemars(length(min = 1))]
    pub(in crate::config) body_pattern: Option<String>,
    /// From one check to the next, in milliseconds, give or take a tenth.
    #[schemars(range(min = 10, max = TIMEOUT_MS_MAX), extend("default" = Health::INTERVAL_MS))]
    pub(in crate::config) interval_ms: Option<u64>,
    /// Longest time for a check, connecting included, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Health::TIMEOUT_MS))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// Checks in a row that an unhealthy endpoint must pass to be healthy.
    #[schemars(range(min = 1, max = 1000), extend("default" = Health::HEALTHY_AFTER))]
    pub(in crate::config) healthy_after: Option<u64>,
    /// Checks in a row that a healthy endpoint must fail to be unhealthy. The very first check decides alone.
    #[schemars(range(min = 1, max = 1000), extend("default" = Health::UNHEALTHY_AFTER))]
    pub(in crate::config) unhealthy_after: Option<u64>,
    /// What an endpoint is taken for before the first check.
    #[schemars(extend("default" = "healthy"))]
    pub(in crate::config) initially: Option<Initially>,
}

impl Health {
    /// What every server has.
    pub(in crate::config) const PATH: &str = "/";
    /// As in most load balancers: a few checks find a dead endpoint within 15 s.
    pub(in crate::config) const INTERVAL_MS: u64 = 5_000;
    /// A server that takes longer for this is not well.
    pub(in crate::config) const TIMEOUT_MS: u64 = 2_000;
    /// Once may be chance.
    pub(in crate::config) const HEALTHY_AFTER: u32 = 2;
    /// One more than that: losing an endpoint wrongly costs more than keeping it a little longer.
    pub(in crate::config) const UNHEALTHY_AFTER: u32 = 3;
}

/// What an endpoint is taken for before the first check.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Initially {
    /// It gets requests.
    Healthy,
    /// It gets none while others are healthy.
    Unhealthy,
}
