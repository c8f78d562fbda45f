//! `GET /metrics`: everything that is counted, for Prometheus.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use super::{Status, plugins, upstreams};
use crate::cdn;
use crate::names::Name;
use crate::plugin::{Cost, HookCost};
use crate::telemetry::metrics::{CONTENT_TYPE, Exposition, Kind};
use crate::upstream::expose;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/metrics", Role::Read, "Metrics for Prometheus").gives_media(CONTENT_TYPE).by(scrape)]
}

async fn scrape(context: Context) -> Result<Answer, Trouble> {
    let text = metrics(&context.status());
    Ok(Answer::bytes(CONTENT_TYPE, text))
}

/// What the variants cost, by plugin and origin. Routes move when others are written before them, and a variant that stays keeps the
/// origin that it was made with: so two may have one, and a series must not be there twice.
fn costs<'a>(variants: impl Iterator<Item = (&'a Name, String, Cost)>) -> BTreeMap<(&'a Name, String), Cost> {
    let mut costs: BTreeMap<_, Cost> = BTreeMap::new();
    for (plugin, origin, cost) in variants {
        let sum = costs.entry((plugin, origin)).or_default();
        sum.memory_bytes += cost.memory_bytes;
        sum.recycled += cost.recycled;
        for (hook, cost) in cost.hooks {
            match sum.hooks.iter_mut().find(|(known, _)| *known == hook) {
                Some((_, sum)) => {
                    sum.calls += cost.calls;
                    sum.failures += cost.failures;
                    sum.time += cost.time;
                    sum.fuel += cost.fuel;
                }
                None => sum.hooks.push((hook, cost)),
            }
        }
    }
    costs
}

/// The plugin ledger and the plugins' own series in Prometheus' text format.
pub(super) fn metrics(status: &Status) -> String {
    let mut out = Exposition::default();
    let costs = costs(plugins(status).map(|loaded| (&loaded.name, loaded.entry.origin.to_string(), loaded.cost())));
    let mut per_hook = |name: &str, help: &str, value: &dyn Fn(&HookCost) -> f64| {
        out.family(name, help, Kind::Counter);
        for ((plugin, origin), cost) in &costs {
            for (hook, cost) in &cost.hooks {
                let labels = [("plugin", plugin.as_str()), ("variant", origin), ("hook", hook.as_str())];
                out.number(name, &labels, value(cost));
            }
        }
    };
    // Exact up to 2^53.
    per_hook("portcullis_plugin_calls_total", "Calls of a plugin's hook.", &|cost| cost.calls as f64);
    per_hook("portcullis_plugin_failures_total", "Calls that failed.", &|cost| cost.failures as f64);
    per_hook("portcullis_plugin_seconds_total", "Time spent in calls.", &|cost| cost.time.as_secs_f64());
    per_hook("portcullis_plugin_fuel_total", "Fuel spent in calls.", &|cost| cost.fuel as f64);
    out.family("portcullis_plugin_memory_bytes", "Memory of a plugin's living instances.", Kind::Gauge);
    for ((plugin, origin), cost) in &costs {
        let labels = [("plugin", plugin.as_str()), ("variant", origin.as_str())];
        out.count("portcullis_plugin_memory_bytes", &labels, cost.memory_bytes);
    }
    expose(&upstreams::report(status), &mut out);
    cdn::expose(&status.cdn.report(), &mut out);
    if let Some(redis) = &status.redis {
        redis.expose(&mut out);
    }
    if let Some(purger) = &status.purger {
        crate::cache::expose(purger.cache(), &mut out);
    }
    if let Some(metrics) = &status.metrics {
        metrics.expose(&mut out);
    }
    out.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::names::Hook;

    #[test]
    fn variants_of_one_origin_are_one_series() {
        let name: Name = "a".parse().unwrap();
        let hook = |hook, calls| (hook, HookCost { calls, failures: 1, time: Duration::from_secs(1), fuel: 5 });
        let cost = |hooks, memory_bytes| Cost { hooks, memory_bytes, recycled: 1 };
        let one = cost(vec![hook(Hook::PreHandler, 2)], 10);
        let two = cost(vec![hook(Hook::PreRoute, 4), hook(Hook::PreHandler, 3)], 20);
        let variants = [("x", one.clone()), ("y", one), ("x", two)];
        let costs = costs(variants.into_iter().map(|(origin, cost)| (&name, origin.to_owned(), cost)));
        assert_eq!(costs.len(), 2);
        let sum = costs.get(&(&name, "x".to_owned())).unwrap();
        let both = HookCost { calls: 5, failures: 2, time: Duration::from_secs(2), fuel: 10 };
        assert_eq!(sum.hooks, [(Hook::PreHandler, both), hook(Hook::PreRoute, 4)]);
        assert_eq!((sum.memory_bytes, sum.recycled), (30, 2));
    }
}
