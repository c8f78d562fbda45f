//! The shape of `access_log`: a line for every exchange.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::telemetry::access::{Field, REDACTED_HEADERS, REDACTED_QUERY};

/// A line for every exchange.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum AccessLog {
    /// `true`: JSON on standard output.
    Switch(bool),
    /// As described.
    Options(Box<AccessLogOptions>),
}

/// What the access log is like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AccessLogOptions {
    /// Where lines go.
    #[schemars(extend("default" = "stdout"))]
    pub(in crate::config) to: Option<AccessLogTarget>,
    /// How lines look. `combined` is `common` with referer and user agent.
    #[schemars(extend("default" = "json"))]
    pub(in crate::config) format: Option<AccessLogFormat>,
    /// The keys of a JSON line. Those without a value are left out. Beside names of fields there are `request.header.NAME`, `response.header.NAME`
    /// and `attribute.NAME`.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "default" = Field::DEFAULT, "examples" = [["time", "method", "path", "status", "request.header.user-agent", "attribute.auth.subject"]]))]
    pub(in crate::config) fields: Option<Vec<Option<String>>>,
    /// How lines look, instead of `format`: fields in braces, `-` where they have no value; `{{` and `}}` are braces.
    #[schemars(length(min = 1), extend("examples" = ["{client.address} - [{time}] \"{method} {path} {protocol}\" {status} {bytes} {duration_ms}"]))]
    pub(in crate::config) template: Option<String>,
    /// Which exchanges get a line. Absent: all of them.
    pub(in crate::config) only: Option<AccessLogOnly>,
    /// Header fields whose values are not shown, beside those that are secrets anyway.
    #[schemars(extend("uniqueItems" = true, "examples" = [["x-internal-token"]], "description" = format!("Header fields whose values are not shown, beside {}.", REDACTED_HEADERS.join(", "))))]
    pub(in crate::config) redact_headers: Option<Vec<Option<String>>>,
    /// Query parameters whose values are not shown, also in `Referer` and other fields that are URLs.
    #[schemars(extend("uniqueItems" = true, "default" = REDACTED_QUERY))]
    pub(in crate::config) redact_query: Option<Vec<Option<String>>>,
}

/// Where lines go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum AccessLogTarget {
    /// Standard output.
    Name(AccessLogStream),
    /// A file.
    File(AccessLogFile),
}

/// Where lines go.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AccessLogStream {
    /// Standard output.
    Stdout,
}

/// A file for lines. It is opened anew after SIGHUP, after a change of the configuration, and when somebody has moved it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AccessLogFile {
    /// The file, relative to the configuration file. Folders that are missing are made.
    #[schemars(required, length(min = 1), extend("examples" = ["logs/access.log"]))]
    pub(in crate::config) file: Option<String>,
    /// Lay the file aside before it becomes longer, in bytes. Absent: however long.
    #[schemars(range(min = 1024, max = 1_u64 << 50))]
    pub(in crate::config) rotate_bytes: Option<u64>,
    /// Lay the file aside at every full multiple of so many seconds: 3600 is every hour, 86400 every day at midnight, UTC. Absent: however old.
    #[schemars(range(min = 1, max = 31_622_400))]
    pub(in crate::config) rotate_seconds: Option<u64>,
    /// How many files are kept that were laid aside.
    #[schemars(range(max = 100_000), extend("default" = AccessLogFile::KEEP))]
    pub(in crate::config) keep: Option<usize>,
    /// Compress files that were laid aside (gzip).
    #[schemars(extend("default" = false))]
    pub(in crate::config) compress: Option<bool>,
}

impl AccessLogFile {
    /// Default of `keep`.
    pub(in crate::config) const KEEP: usize = 10;
}

/// How lines look.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum AccessLogFormat {
    /// A JSON object per line.
    Json,
    /// The common log format.
    Common,
    /// The combined log format.
    Combined,
}

/// Which exchanges get a line: those that any of these picks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(in crate::config) struct AccessLogOnly {
    /// Those with such a status: `404`, or `4xx` for all that begin with 4.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "examples" = [["4xx", "5xx"]]))]
    pub(in crate::config) status: Option<Vec<Option<String>>>,
    /// Those that took longer, in milliseconds.
    #[schemars(range(max = 86_400_000))]
    pub(in crate::config) slower_than_ms: Option<u64>,
    /// Of the others so many percent, and all that failed: with a status of 500 and above, refused by the gateway, or broken off.
    #[schemars(range(max = 100))]
    pub(in crate::config) sample_percent: Option<u8>,
}
