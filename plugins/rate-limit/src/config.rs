//! The configuration as the operator writes it. Its doc comments are the descriptions in the JSON Schema.

use std::collections::BTreeMap;

use portcullis_sdk::duration::Milliseconds;

/// What clients are held to.
#[portcullis_sdk::config]
pub struct Config {
    /// The limits. All that apply to a request are asked together: where one has no room, nothing is taken from the others.
    #[schemars(length(min = 1, max = 32))]
    pub limits: Vec<LimitConfig>,
    /// The status of a refusal.
    #[serde(default = "status")]
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// By which fields responses tell what is left. Empty: by none.
    #[serde(default = "headers")]
    pub headers: Vec<FieldsConfig>,
    /// Bits of an IPv6 address that count: the neighbours in a /64 are one customer.
    #[serde(default = "ipv6_prefix")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix: u8,
    /// Bits of an IPv4 address that count.
    #[serde(default = "ipv4_prefix")]
    #[schemars(range(min = 1, max = 32))]
    pub ipv4_prefix: u8,
}

const fn status() -> u16 {
    429
}

fn headers() -> Vec<FieldsConfig> {
    vec![FieldsConfig::Draft]
}

const fn ipv6_prefix() -> u8 {
    64
}

const fn ipv4_prefix() -> u8 {
    32
}

/// Fields that tell what is left.
#[portcullis_sdk::config]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FieldsConfig {
    /// `RateLimit-Policy: "name";q=100;w=60` and `RateLimit: "name";r=50;t=30`, of all limits that apply.
    Draft,
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds), of the limit with the least left.
    Legacy,
    /// The same as `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    X,
}

/// One limit.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
pub struct LimitConfig {
    /// Its name, in the fields, in metrics, and by which it counts: limits with the same name, algorithm and window count together, on all routes.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// How requests are counted.
    #[serde(default)]
    pub algorithm: AlgorithmConfig,
    /// So many requests in the window; a bucket gets so many in that time.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u64,
    /// The window, up to 31 days.
    pub window: Milliseconds,
    /// What a bucket holds at most; as many as `requests` where it is not written.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u64>,
    /// What requests are counted by; several parts together are one key, and none at all counts everybody together. Each is `address`, `route`,
    /// `method`, `path`, `host`, `header:NAME`, `cookie:NAME`, `attribute:NAME` or `parameter:NAME`.
    #[serde(default = "key")]
    #[schemars(length(max = 8))]
    pub key: Vec<String>,
    /// What stands for a part of the key that a request does not have.
    #[serde(default)]
    pub missing: Missing,
    /// What a request takes.
    #[serde(default = "cost")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub cost: u32,
    /// Only for these requests.
    #[serde(default)]
    pub when: ConditionConfig,
    /// Not for these requests.
    pub unless: Option<ConditionConfig>,
    /// What happens to a request for which there is no room.
    #[serde(default)]
    pub on_exceed: OnExceed,
    /// Whether a refused request counts as an offence, for which the operator may ban the client.
    #[serde(default)]
    pub offence: bool,
}

fn key() -> Vec<String> {
    vec!["address".to_owned()]
}

const fn cost() -> u32 {
    1
}

/// How requests are counted.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AlgorithmConfig {
    /// At most so many within any time of the window's length, wherever it begins.
    #[default]
    SlidingWindow,
    /// A bucket that fills steadily, and from which each request takes.
    TokenBucket,
}

/// What stands for a part of the key that a request does not have.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The client's address.
    #[default]
    Address,
    /// Nothing: all requests without it count together.
    Together,
    /// The limit does not apply.
    Skip,
}

/// What happens to a request for which there is no room.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// It is refused.
    #[default]
    Deny,
    /// It passes, is counted, and a line is logged: for trying a limit out.
    Log,
}

/// Which requests. All that is written must hold; without anything it holds for all.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone)]
#[serde(default)]
pub struct ConditionConfig {
    /// One of these methods.
    pub methods: Vec<String>,
    /// One of these paths, in which `*` stands for anything. Compared as the gateway's router reads a path, however it is spelled.
    pub paths: Vec<String>,
    /// One of these routes.
    pub routes: Vec<String>,
    /// All of these request headers are there.
    pub headers: Vec<String>,
    /// All of these attributes are there.
    pub attributes: Vec<String>,
    /// All of these attributes have this value.
    pub attribute_values: BTreeMap<String, String>,
}
