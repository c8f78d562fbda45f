//! What an operator decides about plugins: which, in what order, with which grants and limits.
//!
//! Every limit has a default that a well-behaved plugin never meets and a runaway one meets before its neighbours notice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::schema::JsonPath;
use crate::names::{Grant, Name};

/// All plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The folder that is watched for `<name>.wasm`.
    pub directory: PathBuf,
    /// What happens with files that no chain entry names.
    pub unlisted: Unlisted,
    /// The chain, in order. Names are unique.
    pub chain: Vec<Entry>,
    /// Plugins that the chain names but that are switched off: they run nowhere, and are not unlisted either.
    pub disabled: Vec<Name>,
}

/// What happens with files in the folder that no chain entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlisted {
    /// They join the end of the chain, by name, with the default grants.
    #[default]
    Append,
    /// Nothing.
    Ignore,
}

/// One plugin in the chain, or the same plugin as one route wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name of its file without `.wasm`.
    pub plugin: Name,
    /// Its configuration.
    pub config: Value,
    /// What it may use.
    pub grants: BTreeSet<Grant>,
    /// What it may spend.
    pub limits: Limits,
    /// What its failure means.
    pub on_failure: FailurePolicy,
    /// How its instances live.
    pub instance: InstanceMode,
    /// Where `config` was written: `plugins.chain[1].config`, or `routes[3].plugins.jwt-auth.config` if the route
    /// changes it. To say where something is that the plugin's schema refuses.
    pub origin: JsonPath,
    /// The route that has made another of it than the chain says, if one has.
    pub route: Option<Name>,
    /// Whether it runs on all requests.
    pub scope: Scope,
}

impl Entry {
    /// An entry as an unlisted file gets it.
    pub fn unlisted(plugin: Name) -> Self {
        Self {
            plugin,
            config: Value::Object(serde_json::Map::new()),
            grants: Grant::DEFAULT.into_iter().collect(),
            limits: Limits::default(),
            on_failure: FailurePolicy::default(),
            instance: InstanceMode::default(),
            // Where the user would write what is missing.
            origin: JsonPath::root().key("plugins").key("chain"),
            route: None,
            scope: Scope::Gateway,
        }
    }

    /// What it is called beside other variants of its plugin, wherever it stands: `chain`, or `route NAME`.
    pub fn variant(&self) -> String {
        self.route.as_ref().map_or_else(|| "chain".to_owned(), |route| format!("route {route}"))
    }

    /// Whether both ask for the same, wherever they stand.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let Self { plugin, config, grants, limits, on_failure, instance, origin: _, route: _, scope: _ } = self;
        *plugin == other.plugin
            && *config == other.config
            && *grants == other.grants
            && *limits == other.limits
            && *on_failure == other.on_failure
            && *instance == other.instance
    }
}

/// On which requests a plugin runs unless a route says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// On all. Its `pre-route` hook is called for every request, also for those that no route matches.
    #[default]
    Gateway,
    /// On the routes it was selected for. The route is known only after `pre-route`, so that hook is not called.
    Routes,
}

/// What a failed call means for the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// The exchange fails with 500. The default, since a plugin that guards something must not be a gap when it breaks.
    #[default]
    Deny,
    /// The exchange goes on as if the plugin had said `next`.
    Skip,
}

/// How instances live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstanceMode {
    /// One warm instance per worker, recycled now and then.
    #[default]
    Reuse,
    /// A fresh instance for every request, for code that must not remember.
    PerRequest,
}

/// What one plugin may spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Fuel per call; one unit is about one Wasm instruction.
    pub fuel: u64,
    /// Wall-clock time per call.
    pub timeout: Duration,
    /// Wall-clock time and fuel for `init` are this many times larger: it parses configuration and compiles patterns.
    pub init_factor: u32,
    /// Linear memory of one instance, in bytes.
    pub memory_bytes_max: usize,
    /// Bytes that one call may hand to the host.
    pub host_bytes_max: usize,
    /// Bytes that one call may log.
    pub log_bytes_max: usize,
    /// Bytes in the plugin's `kv` namespace.
    pub kv_bytes_max: usize,
    /// Metric series.
    pub series_max: usize,
    /// An instance is recycled after this many calls,
    pub recycle_calls: u64,
    /// when its memory has grown to this many bytes,
    pub recycle_memory_bytes: usize,
    /// or at this age.
    pub recycle_age: Duration,
    /// After this many failures in a row the plugin is quarantined
    pub quarantine_failures: u32,
    /// for this long; doubled every time it fails again, up to sixteenfold.
    pub quarantine: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // About 10 ms of plain code; the four plugins that come with the gateway use under 30 000 per call.
            fuel: 20_000_000,
            // Fuel ends a loop long before. This is for what fuel does not see, and generous, because time also passes while the
            // machine runs somebody else.
            timeout: Duration::from_millis(200),
            init_factor: 50,
            memory_bytes_max: 32 * 1024 * 1024,
            host_bytes_max: 1024 * 1024,
            log_bytes_max: 16 * 1024,
            kv_bytes_max: 16 * 1024 * 1024,
            series_max: 1000,
            recycle_calls: 1_000_000,
            recycle_memory_bytes: 16 * 1024 * 1024,
            recycle_age: Duration::from_secs(3600),
            quarantine_failures: 10,
            quarantine: Duration::from_secs(5),
        }
    }
}
