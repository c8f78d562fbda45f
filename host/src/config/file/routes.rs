//! The shape of one route: what it matches, what it does, and how it changes the plugins.
//!
//! That a route has exactly one handler is said in the schema, since serde has no such enum without a tag.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::compression::RouteCompression;
use super::edits::HeaderEdits;
use super::matches::Match;
use super::proxy::Proxy;
use super::{Addresses, Concurrency, FailurePolicy, Files, Limits, RouteCache};

/// One route. It has exactly one of `proxy`, `files`, `respond` and `redirect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["proxy"]}, {"required": ["files"]}, {"required": ["respond"]}, {"required": ["redirect"]}]))]
pub(in crate::config) struct Route {
    /// Its name, in logs and metrics. Unique.
    #[schemars(required, extend("examples" = ["api"]))]
    pub(in crate::config) name: Option<String>,
    /// Which requests it is for. Absent: those that no other route matches.
    #[serde(rename = "match")]
    pub(in crate::config) matches: Option<Match>,
    /// Routes of a higher priority come first, however specific others are.
    #[schemars(range(min = -1_000_000, max = 1_000_000), extend("default" = 0))]
    pub(in crate::config) priority: Option<i32>,
    /// Whether and how responses are cached.
    #[schemars(extend("default" = false))]
    pub(in crate::config) cache: Option<RouteCache>,
    /// Longest request body, in bytes; over it the answer is 413. Absent: no limit.
    #[schemars(range(max = 1_u64 << 50))]
    pub(in crate::config) body_bytes_max: Option<u64>,
    /// Most header fields that a client may send, `Host` among them; over it the answer is 431. Absent: as many as the listener takes.
    #[schemars(range(min = 1, max = 10_000))]
    pub(in crate::config) headers_max: Option<u64>,
    /// Most bytes of header fields that a client may send, with four for each field; over it the answer is 431. Absent: as many as the listener takes.
    #[schemars(range(min = 16, max = 16_777_216))]
    pub(in crate::config) header_bytes_max: Option<u64>,
    /// Who may come, by address; those whom the gateway turns away do not get here. Absent: everybody.
    pub(in crate::config) addresses: Option<Addresses>,
    /// Let no more requests be under way than the upstream answers quickly. Absent: any number.
    pub(in crate::config) concurrency: Option<Concurrency>,
    /// What is done to the fields of requests, after the `pre-handler` hooks and before the cache is asked.
    pub(in crate::config) request_headers: Option<HeaderEdits>,
    /// What is done to the fields of responses, after the `post-handler` hooks.
    pub(in crate::config) response_headers: Option<HeaderEdits>,
    /// Whether and how responses are encoded. Absent: as the gateway says.
    pub(in crate::config) compression: Option<RouteCompression>,
    /// `false`: its exchanges get no line in the access log.
    #[schemars(extend("default" = true))]
    pub(in crate::config) access_log: Option<bool>,
    /// What is different here for a plugin: `false` turns it off, `true` turns it on, an object turns it on with changes.
    pub(in crate::config) plugins: Option<BTreeMap<String, Option<RoutePlugin>>>,
    /// Send the request to an upstream.
    pub(in crate::config) proxy: Option<Proxy>,
    /// Answer with files.
    pub(in crate::config) files: Option<Files>,
    /// Answer from here.
    pub(in crate::config) respond: Option<Respond>,
    /// Send the client elsewhere.
    pub(in crate::config) redirect: Option<Redirect>,
}

/// What is different on a route for a plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum RoutePlugin {
    /// On or off.
    Switch(bool),
    /// On, with changes.
    Override(Box<RouteOverride>),
}

/// A plugin, turned on with changes. What is absent stays as in the chain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RouteOverride {
    /// Merged into the plugin's configuration (RFC 7396: objects are merged, `null` removes a key, all else replaces).
    pub(in crate::config) config: Option<Map<String, Value>>,
    /// Limits that differ.
    pub(in crate::config) limits: Option<Limits>,
    /// What it means for a request if the plugin fails.
    pub(in crate::config) on_failure: Option<FailurePolicy>,
}

/// Answer from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Respond {
    /// The status.
    #[schemars(range(min = 200, max = 599), extend("default" = Respond::STATUS))]
    pub(in crate::config) status: Option<u16>,
    /// The header fields. `Content-Type` has a default, `Content-Length` is computed.
    pub(in crate::config) headers: Option<BTreeMap<String, Option<HeaderValues>>>,
    /// The body, as text.
    pub(in crate::config) body: Option<String>,
    /// The body, as any JSON value.
    #[serde(default, deserialize_with = "present")]
    pub(in crate::config) json: Option<Value>,
}

impl Respond {
    /// Default of `status`.
    pub(in crate::config) const STATUS: u16 = 200;
}

/// `null` is a value here, too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The value of a header field, or several fields of one name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum HeaderValues {
    /// One field.
    One(String),
    /// Several fields.
    Many(Vec<Option<String>>),
}

/// Send the client elsewhere.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Redirect {
    /// 301 and 308 are permanent, 302, 303 and 307 are not; 307 and 308 keep the method.
    #[schemars(extend("enum" = [301, 302, 303, 307, 308], "default" = Redirect::STATUS))]
    pub(in crate::config) status: Option<u16>,
    /// Where to. `{path}`, `{query}` (with its `?`), `{host}` and the parameters of the route's path are filled in.
    #[schemars(required, length(min = 1), extend("examples" = ["https://www.example.com{path}{query}"]))]
    pub(in crate::config) location: Option<String>,
}

impl Redirect {
    /// Default of `status`. A permanent redirect is remembered by clients, so nobody gets one without asking for it.
    pub(in crate::config) const STATUS: u16 = 302;
}
