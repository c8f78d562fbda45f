//! What keeps an upstream that is in trouble from getting into more, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TIMEOUT_MS_MAX;

/// When an upstream is not asked at all for a while: requests are then answered with 503 and `Retry-After`. Counted per worker.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Breaker {
    /// Percent of requests that fail (no response, or a status of 500 and above), from which on it opens. 0: failures do not open it.
    #[schemars(range(max = 100), extend("default" = Breaker::FAILURE_PERCENT))]
    pub(in crate::config) failure_percent: Option<u64>,
    /// From how many milliseconds on a response is slow. Absent: none is.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    pub(in crate::config) slow_ms: Option<u64>,
    /// Percent of slow responses from which on it opens.
    #[schemars(range(min = 1, max = 100), extend("default" = Breaker::SLOW_PERCENT))]
    pub(in crate::config) slow_percent: Option<u64>,
    /// Requests that there must be within the window.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = Breaker::REQUESTS_MIN))]
    pub(in crate::config) requests_min: Option<u64>,
    /// For how long results count, in milliseconds.
    #[schemars(range(min = 100, max = TIMEOUT_MS_MAX), extend("default" = Breaker::WINDOW_MS))]
    pub(in crate::config) window_ms: Option<u64>,
    /// How long it stays open, in milliseconds. Then some requests pass as probes.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Breaker::OPEN_MS))]
    pub(in crate::config) open_ms: Option<u64>,
    /// How many probes. All must be good for it to close; the first that is not opens it again.
    #[schemars(range(min = 1, max = 1000), extend("default" = Breaker::PROBES))]
    pub(in crate::config) probes: Option<u64>,
}

impl Breaker {
    /// More fails than works.
    pub(in crate::config) const FAILURE_PERCENT: u32 = 50;
    /// Slow is not as bad as failing.
    pub(in crate::config) const SLOW_PERCENT: u32 = 80;
    /// Below, half of them may be chance.
    pub(in crate::config) const REQUESTS_MIN: u32 = 20;
    /// Long enough for that many, short enough to forget.
    pub(in crate::config) const WINDOW_MS: u64 = 10_000;
    /// What a server that is overloaded needs to catch its breath.
    pub(in crate::config) const OPEN_MS: u64 = 5_000;
    /// One may be luck.
    pub(in crate::config) const PROBES: u32 = 3;
}

/// When a request is sent once more. Absent: up to two times to another endpoint, where an idempotent request without body broke off.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Retries {
    /// Most often per request. Going on to another endpoint because the first could not be reached does not count.
    #[schemars(range(max = 100), extend("default" = 2))]
    pub(in crate::config) max: Option<u64>,
    /// After what: `connect` (no connection), `reset` (it broke before the response), `timeout` (no response in time), or a status
    /// such as `503`.
    #[schemars(extend("uniqueItems" = true, "default" = ["connect", "reset"], "examples" = [["connect", "reset", "502", "503"]]))]
    pub(in crate::config) on: Option<Vec<Option<String>>>,
    /// Which requests, when some of it may have been sent. Absent: idempotent ones (GET, HEAD, OPTIONS, TRACE, PUT, DELETE).
    #[schemars(length(min = 1), extend("uniqueItems" = true, "examples" = [["GET", "HEAD", "POST"]]))]
    pub(in crate::config) methods: Option<Vec<Option<String>>>,
    /// How many of all, in percent of the requests.
    #[schemars(range(max = 1000), extend("default" = 20))]
    pub(in crate::config) budget_percent: Option<u64>,
    /// How many per second and worker, however few requests there are.
    #[schemars(range(max = 100_000), extend("default" = 10))]
    pub(in crate::config) budget_per_second_min: Option<u64>,
    /// Longest request body that is kept while it is sent, so that it can be sent once more, in bytes.
    #[schemars(range(max = 16_777_216), extend("default" = Retries::BODY_BYTES_MAX))]
    pub(in crate::config) body_bytes_max: Option<u64>,
    /// Wait before an endpoint is asked again, in milliseconds, doubled each time, give or take. Endpoints that have not been asked yet are
    /// asked at once.
    #[schemars(range(max = TIMEOUT_MS_MAX), extend("default" = Retries::BACKOFF_MS))]
    pub(in crate::config) backoff_ms: Option<u64>,
    /// Longest wait, in milliseconds. An endpoint whose `Retry-After` is longer is not asked again.
    #[schemars(range(max = TIMEOUT_MS_MAX), extend("default" = Retries::BACKOFF_MS_MAX))]
    pub(in crate::config) backoff_ms_max: Option<u64>,
    /// Longest time of one try until its response head is complete, in milliseconds. Absent: `response_timeout_ms`.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    pub(in crate::config) try_timeout_ms: Option<u64>,
}

impl Retries {
    /// Most forms and calls of interfaces fit; a hundred of them at once are 6 MiB.
    pub(in crate::config) const BODY_BYTES_MAX: u64 = 64 * 1024;
    /// As in Envoy.
    pub(in crate::config) const BACKOFF_MS: u64 = 25;
    /// No client waits much longer.
    pub(in crate::config) const BACKOFF_MS_MAX: u64 = 1_000;
}
