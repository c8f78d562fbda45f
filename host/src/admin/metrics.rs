//! `/metrics`: everything that is counted, in one place and one grammar of names: `portcullis_<what>_<unit>[_total]`.
//!
//! Written when somebody asks, on the thread that asks: nothing here is touched by a request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use super::{Status, plugins, upstreams};
use crate::cdn;
use crate::listener::Counts;
use crate::names::Name;
use crate::plugin::{CallError, Cost, HookCost, Services};
use crate::telemetry::Records;
use crate::telemetry::figures::Figures;
use crate::telemetry::metrics::{Bucket, Exposition, Format, Kind};
use crate::telemetry::process;
use crate::telemetry::times::nanoseconds;
use crate::time;
use crate::upstream;

/// The upper bounds of the buckets in which calls of plugins are told.
const CALL_BOUNDS: [Duration; 13] = [
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(100),
];

/// What measures, as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Instruments {
    /// What became of requests.
    pub(crate) records: Arc<Records>,
    /// What plugins cost.
    pub(crate) services: Option<Arc<Services>>,
    /// The connections of every listener of every worker.
    pub(crate) doors: Vec<(SocketAddr, Arc<Counts>)>,
    /// What all of it was in the last minutes.
    pub(crate) figures: Arc<Figures>,
    /// What became of changes of the configuration and of plugins.
    pub(crate) changes: Changes,
}

/// What became of changes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Changes {
    taken: u64,
    refused: u64,
    /// When the last one was taken over, since the Unix epoch.
    taken_at: Duration,
}

impl Changes {
    /// Counts one that was taken over.
    pub(crate) fn taken(&mut self) {
        self.taken += 1;
        self.taken_at = time::unix();
    }

    /// Counts one that was refused.
    pub(crate) fn refused(&mut self) {
        self.refused += 1;
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let media = Format::Prometheus.content_type();
    vec![Endpoint::get("/metrics", Role::Read, "Metrics for Prometheus").gives_media(media).by(scrape)]
}

async fn scrape(context: Context) -> Result<Answer, Trouble> {
    let format = Format::wanted(&context.headers);
    let text = written(&context.status(), format);
    Ok(Answer::bytes(format.content_type(), text))
}

/// All metrics as text.
pub(crate) fn written(status: &Status, format: Format) -> String {
    let mut out = Exposition::new(format);
    let Instruments { records, services, doors, .. } = &status.instruments;
    build(&mut out);
    configuration(status, &mut out);
    let name = |number| services.as_ref()?.name(number).map(|name| name.as_str().to_owned());
    records.accounts.expose(&name, &mut out);
    workers(&records.accounts.workers(), &mut out);
    connections(doors, &mut out);
    if let Some(services) = services {
        costs(&services.costs(), &mut out);
    }
    quarantined(status, &mut out);
    upstream::expose(&upstreams::report(status), &mut out);
    cdn::expose(&status.cdn.report(), &mut out);
    if let Some(redis) = &status.redis {
        redis.expose(&mut out);
    }
    if let Some(purger) = &status.purger {
        crate::cache::expose(purger.cache(), &mut out);
    }
    super::condition::expose(&mut out);
    super::protection::expose(status, &mut out);
    super::alerts::expose(status, &mut out);
    records.spans().expose(&mut out);
    records.access().expose(&mut out);
    if let Some(metrics) = &status.metrics {
        metrics.expose(&mut out);
    }
    process::expose(&mut out);
    out.finish()
}

fn build(out: &mut Exposition) {
    out.family("portcullis_build_info", "What runs.", Kind::Info);
    out.count("portcullis_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn configuration(status: &Status, out: &mut Exposition) {
    let mut tell = |name: &str, help: &str, value: f64| {
        out.family(name, help, Kind::Gauge);
        out.number::<&str, &str>(name, &[], value);
    };
    let generation = status.generation.as_ref().map_or(0, |generation| generation.number);
    tell("portcullis_configuration_generation", "The newest generation.", generation as f64);
    tell("portcullis_configuration_serving_generation", "What all workers have taken over.", status.adopted as f64);
    let refused = if status.refused.is_some() { 1.0 } else { 0.0 };
    tell("portcullis_configuration_refused", "Whether the last change was refused and what ran before stays.", refused);
    let changes = status.instruments.changes;
    let name = "portcullis_configuration_last_change_timestamp_seconds";
    tell(name, "When a change was taken over last, as Unix time.", changes.taken_at.as_secs_f64());
    let name = "portcullis_configuration_problems";
    tell(name, "Plugin files that are wrong although the gateway serves.", status.problems.len() as f64);
    let name = "portcullis_configuration_changes_total";
    out.family(name, "Changes of configuration and plugins, by what became of them.", Kind::Counter);
    for (result, count) in [("taken", changes.taken), ("refused", changes.refused)] {
        out.count(name, &[("result", result)], count);
    }
}

fn workers(workers: &[(u64, u64)], out: &mut Exposition) {
    let name = "portcullis_worker_requests_in_flight";
    out.family(name, "Requests under way.", Kind::Gauge);
    for (worker, (in_flight, _)) in workers.iter().enumerate() {
        out.count(name, &[("worker", worker.to_string())], *in_flight);
    }
    let name = "portcullis_worker_requests_aborted_total";
    out.family(name, "Requests whose client went away before there was a response.", Kind::Counter);
    for (worker, (_, aborted)) in workers.iter().enumerate() {
        out.count(name, &[("worker", worker.to_string())], *aborted);
    }
    let name = "portcullis_worker_busy_seconds_total";
    out.family(name, "Processor time of a worker.", Kind::Counter);
    for (worker, busy) in process::thread_times("worker-") {
        out.number(name, &[("worker", worker.to_string())], busy.as_secs_f64());
    }
}

fn connections(doors: &[(SocketAddr, Arc<Counts>)], out: &mut Exposition) {
    let mut listeners: BTreeMap<SocketAddr, [u64; 6]> = BTreeMap::new();
    for (address, counts) in doors {
        let Counts { open, accepted, crowded, unwelcome, unannounced, handshakes_failed, crowds: _ } = &**counts;
        let sums = listeners.entry(*address).or_default();
        let counts = [open, accepted, crowded, unannounced, handshakes_failed, unwelcome];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.value());
    }
    let families = [
        ("portcullis_connections_open", "Connections of clients.", Kind::Gauge, 0),
        ("portcullis_connections_accepted_total", "Connections that were accepted.", Kind::Counter, 1),
        ("portcullis_tls_handshakes_failed_total", "TLS handshakes that failed.", Kind::Counter, 4),
    ];
    for (name, help, kind, position) in families {
        out.family(name, help, kind);
        for (address, sums) in &listeners {
            out.count(name, &[("listener", address.to_string())], sums.get(position).copied().unwrap_or_default());
        }
    }
    let name = "portcullis_connections_refused_total";
    out.family(name, "Connections that were closed at once, by why.", Kind::Counter);
    for (address, [_, _, crowded, unannounced, _, unwelcome]) in &listeners {
        let by_reason =
            [("connections_per_address_max", crowded), ("proxy_protocol", unannounced), ("not_welcome", unwelcome)];
        for (reason, count) in by_reason {
            out.count(name, &[("listener", address.to_string()), ("reason", reason.to_owned())], *count);
        }
    }
}

/// The plugin ledger.
fn costs(costs: &BTreeMap<(Name, String), Cost>, out: &mut Exposition) {
    let mut per_hook = |name: &str, help: &str, value: &dyn Fn(&HookCost) -> f64| {
        out.family(name, help, Kind::Counter);
        for ((plugin, origin), cost) in costs {
            for (hook, cost) in &cost.hooks {
                let labels = [("plugin", plugin.as_str()), ("variant", origin), ("hook", hook.as_str())];
                out.number(name, &labels, value(cost));
            }
        }
    };
    // Exact up to 2^53.
    per_hook("portcullis_plugin_calls_total", "Calls of a plugin's hook.", &|cost| cost.calls as f64);
    per_hook("portcullis_plugin_seconds_total", "Time spent in calls.", &|cost| cost.time.as_secs_f64());
    per_hook("portcullis_plugin_fuel_total", "Fuel spent in calls.", &|cost| cost.fuel as f64);
    let name = "portcullis_plugin_failures_total";
    out.family(name, "Calls that failed, by kind: `error` is one that the plugin returned.", Kind::Counter);
    for ((plugin, origin), cost) in costs {
        for (hook, cost) in &cost.hooks {
            // Kinds that there are always, so that the first failure is an increase too.
            let kinds = CallError::KINDS.iter().zip(cost.failed);
            for (kind, count) in kinds.filter(|(kind, count)| *count > 0 || ["error", "trap"].contains(*kind)) {
                let labels =
                    [("plugin", plugin.as_str()), ("variant", origin), ("hook", hook.as_str()), ("kind", kind)];
                out.count(name, &labels, count);
            }
        }
    }
    let name = "portcullis_plugin_call_duration_seconds";
    out.family(name, "How long calls of a plugin's hook took.", Kind::Histogram);
    for ((plugin, origin), cost) in costs {
        for (hook, cost) in &cost.hooks {
            let labels = [("plugin", plugin.as_str()), ("variant", origin.as_str()), ("hook", hook.as_str())];
            let bucket = |bound: f64, count| Bucket { bound, count, exemplar: None };
            let bounded = CALL_BOUNDS
                .iter()
                .map(|bound| bucket(bound.as_secs_f64(), cost.times.at_most(nanoseconds(*bound))))
                .chain([bucket(f64::INFINITY, cost.times.count())]);
            out.buckets(name, &labels, bounded, cost.time.as_secs_f64());
        }
    }
    let mut per_variant = |name: &str, help: &str, kind: Kind, value: fn(&Cost) -> u64| {
        out.family(name, help, kind);
        for ((plugin, origin), cost) in costs {
            out.count(name, &[("plugin", plugin.as_str()), ("variant", origin.as_str())], value(cost));
        }
    };
    let help = "Memory of a plugin's living instances.";
    per_variant("portcullis_plugin_memory_bytes", help, Kind::Gauge, |cost| cost.memory_bytes);
    let help = "Instances that were replaced, for whatever reason.";
    per_variant("portcullis_plugin_recycled_total", help, Kind::Counter, |cost| cost.recycled);
}

fn quarantined(status: &Status, out: &mut Exposition) {
    let name = "portcullis_plugin_quarantined";
    out.family(name, "Whether a plugin failed so often that it is not asked for a while.", Kind::Gauge);
    let mut variants: BTreeMap<(&str, String), bool> = BTreeMap::new();
    for loaded in plugins(status) {
        // A variant that stays keeps the name of the route that it was made for, and routes are renamed: so two may have one.
        let quarantined = variants.entry((loaded.name.as_str(), loaded.entry.variant())).or_default();
        *quarantined |= loaded.quarantined().is_some();
    }
    for ((plugin, origin), quarantined) in &variants {
        out.count(name, &[("plugin", *plugin), ("variant", origin)], u64::from(*quarantined));
    }
}
