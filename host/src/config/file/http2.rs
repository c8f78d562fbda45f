//! How HTTP/2 is spoken on a listener, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TIMEOUT_MS_MAX;
use crate::listener;

/// How HTTP/2 is spoken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Http2 {
    /// Whether it is spoken: over TLS to clients that offer `h2`, without TLS to those that begin with it.
    #[schemars(extend("default" = true))]
    pub(in super::super) enabled: Option<bool>,
    /// Most requests at once per connection. Further ones are refused in a way that lets the client send them again.
    #[schemars(range(min = 1, max = 10_000), extend("default" = listener::Http2::default().streams_max))]
    pub(in super::super) streams_max: Option<u64>,
    /// What a client may send of one request body before the gateway has passed it on, in bytes.
    #[schemars(range(min = 65_535, max = 16_777_216), extend("default" = listener::Http2::default().stream_window_bytes))]
    pub(in super::super) stream_window_bytes: Option<u64>,
    /// The same for all request bodies of a connection together, in bytes.
    #[schemars(range(min = 65_535, max = 1_073_741_824), extend("default" = listener::Http2::default().connection_window_bytes))]
    pub(in super::super) connection_window_bytes: Option<u64>,
    /// How long a client may let a request rest or a response unread, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = 15_000))]
    pub(in super::super) stall_timeout_ms: Option<u64>,
    /// How many requests a client may break off or make wrongly before it is cut off. Default: 200 at once, 30 per second.
    pub(in super::super) resets: Option<Allowance>,
    /// How many frames that carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty ones) a client may send before it
    /// is cut off. Requests and responses allow for more. Default: 500 at once, 100 per second.
    pub(in super::super) controls: Option<Allowance>,
}

/// How much a client may do of something.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Allowance {
    /// How much at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in super::super) burst: Option<u64>,
    /// How much comes back per second.
    #[schemars(range(max = 1_000_000))]
    pub(in super::super) per_second: Option<u64>,
}
