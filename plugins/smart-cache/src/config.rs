//! The configuration as the operator writes it. Its doc comments are the descriptions in the JSON Schema.

use std::collections::BTreeMap;

use crate::duration::Milliseconds;

/// All of it is optional. Patterns of paths and names may hold `*`, which stands for anything.
#[portcullis_sdk::config]
#[derive(Default)]
#[serde(default)]
pub struct Config {
    /// How long a response stays fresh by status: codes (`404`) and classes (`5xx`). `0s`: not stored.
    pub statuses: BTreeMap<String, Milliseconds>,
    /// How long where nothing above or below says it, for 200, 203, 204, 300, 301 and 308.
    pub ttl: Option<Milliseconds>,
    /// How long for 404, 405, 410, 414, 451 and 501, where `statuses` does not say it.
    pub negative_ttl: Option<Milliseconds>,
    /// What is different for some paths; the first that matches counts.
    pub paths: Vec<PathEntry>,
    /// What this configuration says wins over the origin's Cache-Control and Expires.
    pub override_origin: bool,
    /// Store responses with Set-Cookie too. They would set the same cookie for everybody.
    pub store_set_cookie: bool,
    /// Let the ttl of 200 responses follow how often they change and how often they are asked for.
    pub adaptive: Option<AdaptiveChoice>,
    /// What the cache key is made of.
    pub key: KeyChoice,
    /// Requests that go around the cache.
    pub bypass: BypassChoice,
    /// Names under which responses can be purged.
    pub tags: TagChoice,
    /// The Cache-Control that clients see, by path; the first that matches counts. Without a match the origin's stays.
    pub cache_control: Vec<ClientEntry>,
    /// What `cache_control` does to responses with an error status (400 and above).
    pub errors: Errors,
}

/// What is different for some paths.
#[portcullis_sdk::config]
pub struct PathEntry {
    /// The pattern, for instance `/static/*`. Matched against the path as it came, percent-encoded.
    pub path: String,
    /// How long, for 200, 203, 204, 300, 301 and 308.
    #[serde(default)]
    pub ttl: Option<Milliseconds>,
    /// How long by status, as above.
    #[serde(default)]
    pub statuses: BTreeMap<String, Milliseconds>,
    /// `false`: nothing of this is stored.
    #[serde(default = "yes")]
    pub store: bool,
    /// `false`: no adaptive ttl here.
    #[serde(default = "yes")]
    pub adaptive: bool,
    /// As above, for these paths.
    #[serde(default)]
    pub override_origin: Option<bool>,
    /// Tags that every response of these paths gets.
    #[serde(default)]
    pub tags: Vec<String>,
}

fn yes() -> bool {
    true
}

/// Adaptive ttl: `interval × share × (1 + popularity × log2(1 + requests per minute))` within bounds.
#[portcullis_sdk::config]
#[serde(default)]
pub struct AdaptiveChoice {
    /// The shortest ttl.
    pub min: Milliseconds,
    /// The longest ttl.
    pub max: Milliseconds,
    /// Which part of the time between changes a response may be kept: the share of answers that may be stale.
    pub share: f64,
    /// How much often requested responses are kept longer; 0: not at all.
    pub popularity: f64,
    /// About so many resources are remembered in an instance.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub entries: u32,
}

impl Default for AdaptiveChoice {
    fn default() -> Self {
        Self {
            min: Milliseconds(5_000),
            max: Milliseconds(3_600_000),
            // What RFC 9111 section 4.2.2 suggests for heuristic freshness.
            share: 0.1,
            popularity: 0.1,
            entries: 4096,
        }
    }
}

/// What the cache key is made of.
#[portcullis_sdk::config]
#[serde(default)]
pub struct KeyChoice {
    /// Request headers whose values are part of the key.
    pub headers: Vec<String>,
    /// Cookies whose values are part of the key.
    pub cookies: Vec<String>,
    /// Which query parameters are part of the key. Without it: the query as it came.
    pub query: QueryChoice,
    /// Sort query parameters by name, so that their order does not matter.
    pub sort_query: bool,
    /// `false`: http and https share.
    pub scheme: bool,
    /// `false`: all hosts share.
    pub host: bool,
}

impl Default for KeyChoice {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            cookies: Vec::new(),
            query: QueryChoice::default(),
            sort_query: false,
            scheme: true,
            host: true,
        }
    }
}

/// Which query parameters are part of the key: `allow` or `deny`, not both.
#[portcullis_sdk::config]
#[derive(Default)]
#[serde(default)]
pub struct QueryChoice {
    /// Only these; an empty list: none.
    pub allow: Option<Vec<String>>,
    /// All but these.
    pub deny: Option<Vec<String>>,
}

/// Requests that go around the cache.
#[portcullis_sdk::config]
#[serde(default)]
pub struct BypassChoice {
    /// With an Authorization header.
    pub authorization: bool,
    /// With one of these cookies.
    pub cookies: Vec<String>,
    /// With one of these headers.
    pub headers: Vec<HeaderMatch>,
    /// With one of these query parameters.
    pub query: Vec<String>,
}

impl Default for BypassChoice {
    fn default() -> Self {
        Self { authorization: true, cookies: Vec::new(), headers: Vec::new(), query: Vec::new() }
    }
}

/// A header that is there, or has a value.
#[portcullis_sdk::config]
pub struct HeaderMatch {
    /// The header's name.
    pub name: String,
    /// A pattern of its value; without it any value.
    #[serde(default)]
    pub value: Option<String>,
}

/// Names under which responses can be purged.
#[portcullis_sdk::config]
#[serde(default)]
pub struct TagChoice {
    /// Response headers that carry tags, for instance `surrogate-key` or `cache-tag`.
    pub headers: Vec<String>,
    /// The characters between two tags.
    pub separators: String,
    /// Tags that every response gets.
    pub always: Vec<String>,
    /// Whether clients see those headers.
    pub show_headers: bool,
}

impl Default for TagChoice {
    fn default() -> Self {
        Self { headers: Vec::new(), separators: " ,".to_owned(), always: Vec::new(), show_headers: false }
    }
}

/// The Cache-Control that clients see.
#[portcullis_sdk::config]
pub struct ClientEntry {
    /// The pattern of the path; without it all paths.
    #[serde(default)]
    pub path: Option<String>,
    /// The value; without it what the origin sent stays.
    #[serde(default)]
    pub value: Option<String>,
    /// Only where the origin sent none.
    #[serde(default)]
    pub if_absent: bool,
}

/// What `cache_control` does to responses with an error status.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Errors {
    /// They keep what they have.
    #[default]
    Keep,
    /// They are treated like all others.
    Apply,
    /// They get `no-store`.
    NoStore,
}
