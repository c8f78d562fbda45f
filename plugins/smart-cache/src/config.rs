//! The configuration as the operator writes it. Its doc comments are the descriptions in the JSON Schema.

use std::collections::BTreeMap;

use portcullis_sdk::duration::Milliseconds;

use crate::ahead::Ahead;
use crate::windows::Windows;

/// All of it is optional. Patterns of paths and names may hold `*`, which stands for anything.
#[portcullis_sdk::config]
#[derive(Default)]
#[serde(default)]
pub struct Config {
    /// How long a response stays fresh by status: codes (`404`) and classes (`5xx`). `0s`: not stored. Instead of a duration
    /// `{ "ttl": …, "stale_while_revalidate": …, "stale_if_error": …, "refresh_ahead": … }`, each of them optional.
    pub statuses: BTreeMap<String, StatusEntry>,
    /// How long where nothing above or below says it, for 200, 203, 204, 300, 301 and 308.
    pub ttl: Option<Milliseconds>,
    /// How long for 404, 405, 410, 414, 451 and 501, where `statuses` does not say it.
    pub negative_ttl: Option<Milliseconds>,
    /// How long, in short, for 404, 410 and errors of the origin, where `statuses` does not say it. Without it they are not
    /// stored on our word; `{}`: 10 s, 1 min and 1 s.
    pub negative: Option<NegativeChoice>,
    /// For how long after its ttl a response (200, 203, 204, 300, 301, 308) is still shown while it is fetched anew.
    pub stale_while_revalidate: Option<Milliseconds>,
    /// For how long after its ttl it is still shown where the upstream fails.
    pub stale_if_error: Option<Milliseconds>,
    /// How long before the end of its ttl it is renewed in the background, if somebody asks for it then.
    pub refresh_ahead: Option<Ahead>,
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
    /// What is purged when a request that changes something has succeeded. Needs the grant `cache`.
    pub purge_on: Vec<PurgeEntry>,
    /// The Cache-Control that clients see, by path; the first that matches counts. Without a match the origin's stays.
    pub cache_control: Vec<ClientEntry>,
    /// What `cache_control` does to responses with an error status (400 and above).
    pub errors: Errors,
}

/// What is different for some paths.
#[portcullis_sdk::config]
pub struct PathEntry {
    /// The pattern, for instance `/static/*`. Matched as the gateway's router reads a path, however it is spelled; what differs by how
    /// an encoded slash is read is not stored.
    pub path: String,
    /// How long, for 200, 203, 204, 300, 301 and 308.
    #[serde(default)]
    pub ttl: Option<Milliseconds>,
    /// How long by status, as above.
    #[serde(default)]
    pub statuses: BTreeMap<String, StatusEntry>,
    /// As above, for these paths.
    #[serde(default)]
    pub stale_while_revalidate: Option<Milliseconds>,
    /// As above, for these paths.
    #[serde(default)]
    pub stale_if_error: Option<Milliseconds>,
    /// As above, for these paths.
    #[serde(default)]
    pub refresh_ahead: Option<Ahead>,
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

/// What is different for a status.
#[portcullis_sdk::config]
#[derive(Clone, Copy)]
#[serde(untagged)]
pub enum StatusEntry {
    /// How long.
    Ttl(Milliseconds),
    /// More than that.
    More(StatusChoice),
}

/// How long a response with this status is fresh, and what happens around the end of that.
#[portcullis_sdk::config]
#[derive(Default, Clone, Copy)]
#[serde(default)]
pub struct StatusChoice {
    /// How long.
    pub ttl: Option<Milliseconds>,
    /// For how long after that it is still shown while it is fetched anew.
    pub stale_while_revalidate: Option<Milliseconds>,
    /// For how long after that it is still shown where the upstream fails.
    pub stale_if_error: Option<Milliseconds>,
    /// How long before the end of its ttl it is renewed in the background.
    pub refresh_ahead: Option<Ahead>,
}

impl StatusEntry {
    /// How long.
    pub(crate) fn ttl(&self) -> Option<u64> {
        match self {
            Self::Ttl(ttl) => Some(ttl.0),
            Self::More(choice) => choice.ttl.map(|ttl| ttl.0),
        }
    }

    /// What happens around the end of that.
    pub(crate) fn windows(&self) -> Windows {
        match self {
            Self::Ttl(_) => Windows::default(),
            Self::More(choice) => Windows {
                stale_while_revalidate: choice.stale_while_revalidate,
                stale_if_error: choice.stale_if_error,
                refresh_ahead: choice.refresh_ahead,
            },
        }
    }
}

/// How long answers are kept that say that there is nothing, or that something failed. `0s`: not stored.
#[portcullis_sdk::config]
#[serde(default)]
pub struct NegativeChoice {
    /// 404 Not Found.
    #[serde(rename = "404")]
    pub not_found: Milliseconds,
    /// 410 Gone.
    #[serde(rename = "410")]
    pub gone: Milliseconds,
    /// Errors of the origin: long enough that a broken page is not asked for by everybody at once, and no longer.
    #[serde(rename = "5xx")]
    pub failed: Milliseconds,
}

impl Default for NegativeChoice {
    fn default() -> Self {
        Self { not_found: Milliseconds(10_000), gone: Milliseconds(60_000), failed: Milliseconds(1_000) }
    }
}

/// Requests that change something, and what is purged when one has succeeded (status 2xx or 3xx), before its response goes out.
///
/// Texts may hold `{path}`, `{1}` for what the first `*` of `path` stands for (`{2}` for the second), and `{id}` for a parameter of the
/// route's path. Where the request has nothing for it, that text is left out.
#[portcullis_sdk::config]
pub struct PurgeEntry {
    /// The methods, as they are written in requests.
    #[serde(default = "unsafe_methods")]
    pub methods: Vec<String>,
    /// The pattern of the path, for instance `/articles/*`.
    pub path: String,
    /// Tags, for instance `article-{1}`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// URLs; those that begin with `/` are on the host of the request.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Patterns of URLs, in which `*` stands for anything; those that begin with `/` are on the host of the request.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// What becomes of what is found.
    #[serde(default)]
    pub mode: Mode,
}

fn unsafe_methods() -> Vec<String> {
    ["POST", "PUT", "PATCH", "DELETE"].map(str::to_owned).into()
}

/// What a purge does.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It removes.
    #[default]
    Hard,
    /// It marks stale: the next request has it validated, or sees it once more where `stale_while_revalidate` says so.
    Soft,
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
    /// Where a response has neither `ETag` nor `Last-Modified`, take it for unchanged when its `Content-Length` is the same.
    pub by_length: bool,
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
            by_length: false,
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
