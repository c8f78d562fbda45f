//! The configuration: [`load`] reads the files, [`Config`] is what the gateway uses: checked, complete, without serde.
//!
//! Two shapes: `file` is the JSON as written, `Config` as used; `compile` turns one into the other. Everything that
//! is wrong is told at once, as [`Problems`], and a configuration with a problem is not used at all.

mod compile;
mod environment;
mod file;
mod hidden;
mod include;
mod load;
mod overlay;
mod problem;
mod read;
pub mod secrets;
mod shape;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::http::{Forwarding, Proxies};
use crate::modes;
use crate::names::Name;
use crate::pipeline::{Compression, Edits, Handler};
use crate::purger::Dependencies;
use crate::telemetry::{LogSettings, access, spans};
use crate::{acme, cache, cdn, listener, plugin, redis, router, traffic, upstream};

pub(crate) use compile::log_filter;
pub use file::{plugin_limits_schema, schema};
pub use hidden::Hidden;
pub use load::{Examined, document, examine, examine_document, load};
pub use problem::{Place, Problem, Problems};

/// Everything the gateway needs to know. Nothing in it needs checking again, except what only the plugins' own schemas can check.
#[derive(Debug, Clone)]
pub struct Config {
    /// Worker threads; 0 in the file means one per core and is resolved here.
    pub workers: usize,
    /// Where clients connect.
    pub listeners: Vec<listener::Settings>,
    /// Where operators connect, if anywhere, and what they may.
    pub admin: Option<crate::admin::Settings>,
    /// How long exchanges under way may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// The plugins.
    pub plugins: plugin::Settings,
    /// The upstreams, by unique name.
    pub upstreams: Vec<upstream::Settings>,
    /// The memory cache.
    pub cache: cache::Settings,
    /// What is asked for before clients do.
    pub warm: Option<crate::warm::Settings>,
    /// The Redis that instances share, if there is one.
    pub redis: Option<redis::Settings>,
    /// Which tags of stored responses depend on which.
    pub dependencies: Arc<Dependencies>,
    /// What is taken on before new requests are refused.
    pub overload: traffic::Settings,
    /// The routes, by unique name.
    pub routes: Vec<Route>,
    /// How the client's address is told to upstreams.
    pub forwarding: Forwarding,
    /// The proxies in front whose word counts.
    pub proxies: Proxies,
    /// What is logged.
    pub log: LogSettings,
    /// Which lines are written of exchanges; none: no lines.
    pub access_log: Option<access::Settings>,
    /// What is traced, if anything.
    pub tracing: Option<Arc<spans::Settings>>,
    /// What is watched for, and who is told.
    pub alerts: Arc<crate::alerts::Settings>,
    /// What the modes of the gateway do.
    pub modes: Arc<modes::Settings>,
    /// Where clients may ask for the health of the gateway; none: nowhere.
    pub health: Option<Arc<modes::Public>>,
    /// Which certificates are obtained, if any.
    pub acme: Option<acme::Settings>,
    /// The CDNs that purges are forwarded to, by unique name.
    pub cdn: Vec<cdn::Settings>,
    /// Files that were put into plugin configurations. A change of one of them is a change of the configuration.
    pub included: Vec<PathBuf>,
    /// The folder of what outlives a restart and is not configuration: histories, tokens, the audit log.
    pub state: PathBuf,
    /// The main file's document as written: variables and references to files are not filled in.
    pub written: Arc<Value>,
    /// The same with the overlays merged in.
    pub merged: Arc<Value>,
    /// What of it must not be read in messages.
    pub hidden: Hidden,
}

impl Config {
    /// Default of `state`, beside the main file.
    pub(crate) const STATE: &str = "state";
}

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// What it matches.
    pub matches: router::Settings,
    /// What it does.
    pub handler: Handler,
    /// Whether responses are cached.
    pub cache: Option<Arc<crate::cache::policy::Policy>>,
    /// The plugins that are active here, in chain order, each as this route wants it; without those that no chain entry names.
    pub chain: Vec<plugin::Entry>,
    /// Whether unlisted plugins run here, too.
    pub unlisted: RouteUnlisted,
    /// Longest request body in bytes; none: unlimited.
    pub body_bytes_max: Option<u64>,
    /// What else it takes on.
    pub protection: traffic::Protection,
    /// What is done to the fields of requests.
    pub request_edits: Edits,
    /// What is done to the fields of responses.
    pub response_edits: Edits,
    /// How responses are encoded; none: not at all.
    pub compression: Option<Arc<Compression>>,
}

/// Whether unlisted plugins run on a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteUnlisted {
    /// All of them, less those named here (a route switches one off with `"plugins": {"name": false}`).
    Except(Vec<Name>),
}

#[cfg(test)]
mod tests;
