//! The shape of `plugins`: the folder, the chain, and what one plugin may do and spend.
//!
//! Defaults of limits are those of `plugin::Limits`; here they are only shown.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::TIMEOUT_MS_MAX;
use crate::names::Grant;
use crate::plugin;

/// Names of grants.
pub(in crate::config) type Grants = Option<Vec<Option<String>>>;

/// The plugins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Plugins {
    /// The folder of the `.wasm` files, relative to the folder of this file. It is watched for changes.
    #[schemars(length(min = 1), extend("default" = Plugins::DIRECTORY))]
    pub(in crate::config) directory: Option<String>,
    /// What happens with files in the folder that the chain does not name.
    #[schemars(extend("default" = "append"))]
    pub(in crate::config) unlisted: Option<Unlisted>,
    /// The plugins in the order in which they see a request. They see the response in reverse order.
    pub(in crate::config) chain: Option<Vec<Option<Chain>>>,
}

impl Plugins {
    /// Default of `directory`.
    pub(in crate::config) const DIRECTORY: &'static str = "plugins";
}

/// What happens with files in the folder that the chain does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Unlisted {
    /// They join the end of the chain, in order of their names, with the default grants.
    Append,
    /// Nothing.
    Ignore,
}

/// One plugin in the chain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Chain {
    /// The name of its file, without `.wasm`.
    #[schemars(required, extend("examples" = ["jwt-auth"]))]
    pub(in crate::config) plugin: Option<String>,
    /// Whether it runs. `false` takes it out of the chain without losing what is written here.
    #[schemars(extend("default" = true))]
    pub(in crate::config) enabled: Option<bool>,
    /// What the plugin may use of the gateway.
    #[serde(default)]
    #[schemars(schema_with = "grants_schema")]
    pub(in crate::config) grants: Grants,
    /// What it means for a request if the plugin fails.
    #[schemars(extend("default" = "deny"))]
    pub(in crate::config) on_failure: Option<FailurePolicy>,
    /// How long an instance of the plugin lives.
    #[schemars(extend("default" = "reuse"))]
    pub(in crate::config) instance: Option<InstanceMode>,
    /// What one instance or call may spend.
    pub(in crate::config) limits: Option<Limits>,
    /// The names of the routes on which it runs; a route can turn it on or off as well. Absent: all routes, and its
    /// `pre-route` hook is called for every request. With a selection that hook is not called.
    #[schemars(extend("uniqueItems" = true))]
    pub(in crate::config) routes: Option<Vec<Option<String>>>,
    /// The plugin's own configuration. `portcullis plugin inspect` shows its schema.
    pub(in crate::config) config: Option<Map<String, Value>>,
}

fn grants_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "enum": Grant::ALL.map(Grant::as_str)},
        "uniqueItems": true,
        "default": Grant::DEFAULT.map(Grant::as_str),
    })
}

/// What it means for a request if a plugin fails.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum FailurePolicy {
    /// The request fails with 500: a plugin that guards something is not a gap when it breaks.
    Deny,
    /// The request goes on without the plugin.
    Skip,
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum InstanceMode {
    /// One warm instance per worker, recycled now and then.
    Reuse,
    /// A fresh instance for every request, for code that must not remember.
    PerRequest,
}

fn default_limits() -> plugin::Limits {
    plugin::Limits::default()
}

fn default_ms(of: fn(&plugin::Limits) -> std::time::Duration) -> u64 {
    u64::try_from(of(&plugin::Limits::default()).as_millis()).unwrap_or(u64::MAX)
}

/// What a plugin may spend.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Limits {
    /// Fuel per call; one unit is about one Wasm instruction.
    #[schemars(range(min = 1, max = 1_u64 << 50), extend("default" = default_limits().fuel))]
    pub(in crate::config) fuel: Option<u64>,
    /// Time per call, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = default_ms(|limits| limits.timeout)))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// How many times more fuel and time `init` gets than a call.
    #[schemars(range(min = 1, max = 10_000), extend("default" = default_limits().init_factor))]
    pub(in crate::config) init_factor: Option<u32>,
    /// Linear memory of one instance, in bytes.
    #[schemars(range(min = 65_536, max = 4_294_967_296_u64), extend("default" = default_limits().memory_bytes_max))]
    pub(in crate::config) memory_bytes_max: Option<u64>,
    /// Bytes that one call may hand to the gateway.
    #[schemars(range(min = 1, max = 1_u64 << 40), extend("default" = default_limits().host_bytes_max))]
    pub(in crate::config) host_bytes_max: Option<u64>,
    /// Bytes that one call may log.
    #[schemars(range(max = 1_u64 << 40), extend("default" = default_limits().log_bytes_max))]
    pub(in crate::config) log_bytes_max: Option<u64>,
    /// Bytes that the plugin may keep in `kv`.
    #[schemars(range(max = 1_u64 << 40), extend("default" = default_limits().kv_bytes_max))]
    pub(in crate::config) kv_bytes_max: Option<u64>,
    /// Metric series that the plugin may make.
    #[schemars(range(max = 1_000_000), extend("default" = default_limits().series_max))]
    pub(in crate::config) series_max: Option<u64>,
    /// A warm instance is replaced after this many calls.
    #[schemars(range(min = 1, max = 1_u64 << 50), extend("default" = default_limits().recycle_calls))]
    pub(in crate::config) recycle_calls: Option<u64>,
    /// A warm instance is replaced when its memory has grown to this many bytes.
    #[schemars(range(min = 65_536, max = 4_294_967_296_u64), extend("default" = default_limits().recycle_memory_bytes))]
    pub(in crate::config) recycle_memory_bytes: Option<u64>,
    /// A warm instance is replaced at this age, in seconds.
    #[schemars(range(min = 1, max = 31_536_000), extend("default" = default_limits().recycle_age.as_secs()))]
    pub(in crate::config) recycle_seconds: Option<u64>,
    /// After this many failures in a row the plugin is quarantined.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = default_limits().quarantine_failures))]
    pub(in crate::config) quarantine_failures: Option<u32>,
    /// How long a quarantine lasts, in milliseconds. It doubles each time the plugin fails again, up to sixteenfold.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = default_ms(|limits| limits.quarantine)))]
    pub(in crate::config) quarantine_ms: Option<u64>,
}
