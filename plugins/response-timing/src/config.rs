//! The configuration as the operator writes it. Its doc comments are the descriptions in the JSON Schema.

/// All of it is optional.
#[portcullis_sdk::config]
#[derive(Default)]
#[serde(default)]
pub struct Config {
    /// The Server-Timing header: `true` or `false` for all of its parts, or which parts and under which names.
    pub server_timing: ServerTiming,
    /// What happens to a Server-Timing header that the upstream sent.
    pub existing: Existing,
    /// The X-Response-Time header with the total as `12.345ms`: `true`, or the name of another header. Off by default.
    pub response_time: Shown,
    /// Send both headers only for requests that carry this header, for instance `x-timing`, since times tell strangers
    /// something about what is behind the gateway.
    pub only_with_request_header: Option<String>,
    /// The value of Timing-Allow-Origin: who may read Server-Timing in scripts from another origin.
    pub timing_allow_origin: Option<String>,
    /// Histograms by route and status: `true`, `false`, or how. On by default.
    pub metrics: Metrics,
    /// The log of slow requests. Off by default.
    pub slow: Option<SlowLog>,
}

/// What happens to a header that the upstream sent.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// It stays, and ours stands behind it.
    #[default]
    Append,
    /// Ours takes its place. Slightly cheaper.
    Replace,
}

/// One thing that is shown or not.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(untagged, expecting = "expected true, false or a name")]
pub enum Shown {
    /// Under its usual name, or not.
    Switch(bool),
    /// Under this name.
    Name(String),
}

impl Default for Shown {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl Shown {
    /// The name under which it is shown.
    pub(crate) fn name<'a>(&'a self, usual: &'a str) -> Option<&'a str> {
        match self {
            Self::Switch(true) => Some(usual),
            Self::Name(name) => Some(name),
            Self::Switch(false) => None,
        }
    }
}

/// The Server-Timing header.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(untagged, expecting = "expected true, false or an object with the parts")]
pub enum ServerTiming {
    /// All parts, or no header.
    Switch(bool),
    /// These parts.
    Parts(Parts),
}

impl Default for ServerTiming {
    fn default() -> Self {
        Self::Switch(true)
    }
}

/// The parts of Server-Timing, each `true`, `false`, or the name it is shown under.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct Parts {
    /// What applies to the parts that are not written here.
    pub others: bool,
    /// Finding the route.
    pub routing: Option<Shown>,
    /// Each plugin's hooks. A name is a prefix here: `p-` shows `p-jwt-auth`.
    pub plugins: Option<Shown>,
    /// Looking up the cache.
    pub cache: Option<Shown>,
    /// From sending the request to the upstream until its response head was complete.
    pub upstream: Option<Shown>,
    /// From the request head to the response head.
    pub total: Option<Shown>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { others: true, routing: None, plugins: None, cache: None, upstream: None, total: None }
    }
}

/// Histograms by route and status.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(untagged, expecting = "expected true, false or an object with the known keys")]
pub enum Metrics {
    /// The usual ones, or none.
    Switch(bool),
    /// As told.
    Settings(Histograms),
}

impl Default for Metrics {
    fn default() -> Self {
        Self::Switch(true)
    }
}

/// Which histograms.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct Histograms {
    /// Upper bounds of the buckets in milliseconds, ascending.
    pub buckets_ms: Vec<f64>,
    /// How the status becomes a label.
    pub status: StatusLabel,
    /// A second histogram of the time that the upstream took; one more call per request.
    pub upstream: bool,
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            // 1 ms to 10 s, about two buckets per factor of five: the bounds that Prometheus clients use.
            buckets_ms: vec![1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0],
            status: StatusLabel::Code,
            upstream: false,
        }
    }
}

/// How the status becomes a label.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum StatusLabel {
    /// `404`
    #[default]
    Code,
    /// `4xx`
    Class,
}

/// The log of slow requests.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
pub struct SlowLog {
    /// Requests that took at least this long, from the request head to the last byte of the response.
    pub threshold_ms: u64,
    /// The level of the line.
    #[serde(default)]
    pub level: SlowLevel,
}

/// The level of a log line.
#[portcullis_sdk::config]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SlowLevel {
    /// `error`
    Error,
    /// `warn`
    #[default]
    Warn,
    /// `info`
    Info,
}
