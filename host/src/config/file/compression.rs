//! How responses are encoded, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::FilesCoding;

/// Encode responses for clients that accept it. Never encoded are responses that are encoded already, parts of others, streams of events,
/// gRPC, and those with `Cache-Control: no-transform`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Compression {
    /// The codings, best first; the client's preferences count more.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "default" = ["zstd", "br", "gzip"]))]
    pub(in crate::config) encodings: Option<Vec<Option<FilesCoding>>>,
    /// Responses that are known to be shorter are not encoded, in bytes.
    #[schemars(range(max = 1_u64 << 40), extend("default" = Compression::BYTES_MIN))]
    pub(in crate::config) bytes_min: Option<u64>,
    /// The media types that are encoded: `text/plain`, all of a kind `text/*`, or all with a suffix `+json`.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "default" = Compression::TYPES))]
    pub(in crate::config) types: Option<Vec<Option<String>>>,
    /// How hard gzip tries.
    #[schemars(range(min = 1, max = 9), extend("default" = 5))]
    pub(in crate::config) gzip_level: Option<u32>,
    /// How hard Brotli tries.
    #[schemars(range(max = 11), extend("default" = 4))]
    pub(in crate::config) br_level: Option<u32>,
    /// How hard Zstandard tries.
    #[schemars(range(min = 1, max = 19), extend("default" = 3))]
    pub(in crate::config) zstd_level: Option<i32>,
}

impl Compression {
    /// Default of `bytes_min`: what fits into one packet gets there no faster.
    pub(in crate::config) const BYTES_MIN: u64 = 1024;
    /// Default of `types`.
    pub(in crate::config) const TYPES: [&str; 12] = [
        "text/*",
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/manifest+json",
        "application/vnd.ms-fontobject",
        "font/otf",
        "font/ttf",
        "image/svg+xml",
        "+json",
        "+xml",
    ];
}

/// What is different on a route: off, as everywhere, or with changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum RouteCompression {
    /// `false`: not encoded; `true`: encoded, also where the gateway says nothing of it.
    Switch(bool),
    /// Encoded like this.
    Like(Box<Compression>),
}
