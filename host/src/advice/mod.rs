//! Advice: hints with numbers, from what the gateway has measured of itself and how it is configured.
//!
//! Border: [`advise`] is given figures and gives hints, without asking anybody. A hint says what was seen, what it costs, and which key of
//! the configuration to change; where there is too little to go by, nothing is said.

mod endpoints;
mod floods;
mod hints;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::names::Name;
use crate::repeats::Seen;
use crate::telemetry::figures::Live;
use crate::telemetry::refusals::Refused;
use crate::traffic::rate::Exceeded;
use crate::upstream::UpstreamReport;

pub use hints::advise;

/// What hints are made of.
#[derive(Debug, Clone)]
pub struct Known<'k> {
    /// The figures of the last seconds.
    pub live: &'k Live,
    /// The routes by name.
    pub routes: Vec<RouteKnown>,
    /// What the configuration allows each upstream.
    pub pools: Vec<PoolKnown>,
    /// The upstreams and their endpoints.
    pub upstreams: &'k [UpstreamReport],
    /// How often answers of routes that do not cache were the same again.
    pub repeats: &'k BTreeMap<Name, Seen>,
    /// What is stored, in bytes.
    pub cache_bytes: u64,
    /// What may be.
    pub cache_bytes_max: u64,
    /// Limits of plugins that had no room for somebody in the last minute.
    pub exceeded: Vec<Exceeded>,
    /// Clients that were turned away in the last minute, since they are banned or denied.
    pub turned_away: Refused,
    /// Clients that had as many connections as they may in the last minute, and wanted more.
    pub crowds: Refused,
}

/// A route as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteKnown {
    /// Its name.
    pub name: Name,
    /// Whether it caches.
    pub caches: bool,
    /// The upstreams that it asks.
    pub upstreams: Vec<Name>,
}

/// What the configuration allows an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolKnown {
    /// Its name.
    pub upstream: Name,
    /// Most connections per endpoint and worker.
    pub connections_max: usize,
    /// Workers that ask it.
    pub workers: usize,
}

/// How much a hint matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something could be better.
    Info,
    /// Something goes wrong.
    Warning,
}

/// What a hint is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// A route.
    pub route: Option<String>,
    /// A plugin.
    pub plugin: Option<String>,
    /// An upstream.
    pub upstream: Option<String>,
    /// One of its endpoints.
    pub endpoint: Option<String>,
    /// A limit of the plugin.
    pub limit: Option<String>,
    /// What a key of the limit is called.
    pub key: Option<String>,
    /// Clients, by their address.
    pub address: Option<String>,
}

/// A hint.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// Its kind, a stable word.
    pub kind: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// What was seen, and what to do.
    pub text: String,
    /// The numbers.
    pub figures: Vec<(&'static str, f64)>,
}

impl Hint {
    /// As the admin API tells it.
    pub fn json(&self) -> Value {
        let figures: serde_json::Map<String, Value> =
            self.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let severity = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
        };
        let mut hint = json!({ "kind": self.kind, "severity": severity, "text": self.text, "figures": figures });
        let About { route, plugin, upstream, endpoint, limit, key, address } = &self.about;
        let about = [
            ("route", route),
            ("plugin", plugin),
            ("upstream", upstream),
            ("endpoint", endpoint),
            ("limit", limit),
            ("key", key),
            ("address", address),
        ];
        if let Some(object) = hint.as_object_mut() {
            for (key, value) in about {
                object.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
            }
        }
        hint
    }
}
