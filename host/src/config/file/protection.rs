//! Who may come, who is banned, and what one route takes on, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TIMEOUT_MS_MAX;

/// Longest time in seconds: a year.
const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

/// Networks that may come and networks that may not. Of all that hold a client's address the smallest decides; of two that are the same, the
/// one in `deny`. The client's address is the one that PROXY protocol told, where there is one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Addresses {
    /// Networks that may come.
    #[schemars(extend("examples" = [["10.0.0.0/8", "2001:db8::/32"]]))]
    pub(in crate::config) allow: Option<Vec<Option<NetworkSource>>>,
    /// Networks that may not.
    #[schemars(extend("examples" = [["192.0.2.7", {"file": "deny.txt"}]]))]
    pub(in crate::config) deny: Option<Vec<Option<NetworkSource>>>,
    /// What becomes of all others. Absent: `deny` where there is only an `allow` list, otherwise `allow`.
    pub(in crate::config) others: Option<AddressVerdict>,
    /// How who may not is refused: by status 403, or by closing the connection without a word. On a route only `403`.
    #[schemars(extend("default" = "403"))]
    pub(in crate::config) refuse: Option<Refuse>,
}

/// A network, or a file with networks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum NetworkSource {
    /// An address, or an address and the length of its prefix.
    Network(String),
    /// A file with one network per line.
    File(NetworkFile),
}

/// A file with one network per line; what follows a `#` is a comment. A change of it is taken over like one of the configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct NetworkFile {
    /// Its path, relative to the folder of the configuration.
    #[schemars(required, length(min = 1), extend("examples" = ["deny.txt"]))]
    pub(in crate::config) file: Option<String>,
}

/// What becomes of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AddressVerdict {
    /// It may come.
    Allow,
    /// It may not.
    Deny,
}

/// How somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(in crate::config) enum Refuse {
    /// By an answer with this status.
    #[serde(rename = "403")]
    Answer,
    /// By closing the connection without a word.
    #[serde(rename = "close")]
    Close,
}

/// Clients that are kept out after repeated offences. Counted over all workers by address, in IPv6 by /64; not kept over a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Bans {
    /// So many offences are too many.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = Bans::AFTER))]
    pub(in crate::config) after: Option<u64>,
    /// If they happen within so many seconds.
    #[schemars(range(min = 1, max = 86_400), extend("default" = Bans::WITHIN_SECONDS))]
    pub(in crate::config) within_seconds: Option<u64>,
    /// How many seconds the first ban lasts. Each one that follows before as much time has passed again lasts twice as long.
    #[schemars(range(min = 1, max = SECONDS_MAX), extend("default" = Bans::FOR_SECONDS))]
    pub(in crate::config) for_seconds: Option<u64>,
    /// How many seconds a ban lasts at most.
    #[schemars(range(min = 1, max = SECONDS_MAX), extend("default" = Bans::FOR_SECONDS_MAX))]
    pub(in crate::config) for_seconds_max: Option<u64>,
    /// Statuses of responses that are offences. Plugins may count others.
    #[schemars(inner(range(min = 400, max = 599)), extend("default" = Bans::STATUSES))]
    pub(in crate::config) statuses: Option<Vec<Option<u16>>>,
    /// Networks that are never banned, such as proxies in front that do not tell for whom they ask.
    pub(in crate::config) never: Option<Vec<Option<NetworkSource>>>,
    /// How who is banned is refused: by status 403 with `Retry-After`, or by closing the connection without a word.
    #[schemars(extend("default" = "403"))]
    pub(in crate::config) refuse: Option<Refuse>,
}

impl Bans {
    /// More than a person gets wrong.
    pub(in crate::config) const AFTER: u64 = 10;
    /// A minute.
    pub(in crate::config) const WITHIN_SECONDS: u64 = 60;
    /// As in fail2ban.
    pub(in crate::config) const FOR_SECONDS: u64 = 600;
    /// A day.
    pub(in crate::config) const FOR_SECONDS_MAX: u64 = 86_400;
    /// Who guesses credentials, and who does not heed a limit.
    pub(in crate::config) const STATUSES: [u16; 3] = [401, 403, 429];
}

/// How many requests of a route may be under way in each worker, from how long answers take. Those over it are answered with 503 and
/// `Retry-After` at once. For routes with a `proxy`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Concurrency {
    /// `gradient` holds the limit where answers take `tolerance` times as long as without load; `aimd` lets it grow until they take longer
    /// than `latency_ms`.
    #[schemars(extend("default" = "gradient"))]
    pub(in crate::config) algorithm: Option<ConcurrencyAlgorithm>,
    /// The limit before anything is known.
    #[schemars(range(min = 1, max = 100_000), extend("default" = Concurrency::INITIAL))]
    pub(in crate::config) initial: Option<u32>,
    /// The least limit.
    #[schemars(range(min = 1, max = 100_000), extend("default" = Concurrency::MIN))]
    pub(in crate::config) min: Option<u32>,
    /// The largest limit.
    #[schemars(range(min = 1, max = 100_000), extend("default" = Concurrency::MAX))]
    pub(in crate::config) max: Option<u32>,
    /// For `gradient`: how many times as long as without load answers may take.
    #[schemars(range(min = 1.05, max = 10.0), extend("default" = Concurrency::TOLERANCE))]
    pub(in crate::config) tolerance: Option<f64>,
    /// For `aimd`: how many milliseconds answers may take.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    pub(in crate::config) latency_ms: Option<u64>,
}

impl Concurrency {
    /// As in Netflix's concurrency-limits.
    pub(in crate::config) const INITIAL: u32 = 20;
    /// Few enough to let any origin recover, enough to see that it has.
    pub(in crate::config) const MIN: u32 = 4;
    /// As many as Envoy lets through at most.
    pub(in crate::config) const MAX: u32 = 1_000;
    /// As in Netflix's concurrency-limits.
    pub(in crate::config) const TOLERANCE: f64 = 1.5;
}

/// How the limit follows from latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ConcurrencyAlgorithm {
    /// From how much longer answers take than without load.
    Gradient,
    /// One more while answers are quick, a tenth less when they are not.
    Aimd,
}
