//! From counts of seconds to figures: the arithmetic.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Second;
use super::live::{
    EndpointFigures, Faults, HookFigures, Latency, Live, PluginShare, ProcessFigures, RouteFigures, Series, Split,
    Traffic, UpstreamFigures,
};
use super::snapshot::{Asked, HookCounts, RouteGrowth, Snapshot, UpstreamCounts};
use crate::names::{Hook, Name};
use crate::telemetry::accounts::Owner;
use crate::telemetry::times::Spread;

/// The figures of these seconds, the newest last; `last` is what the counters say at the end of them.
pub(super) fn live(seconds: &[&Second], last: &Snapshot) -> Live {
    let window: Duration = seconds.iter().map(|second| second.took).sum();
    let mut routes: BTreeMap<&Owner, RouteGrowth> = BTreeMap::new();
    let mut total = RouteGrowth::default();
    for (owner, growth) in seconds.iter().flat_map(|second| &second.routes) {
        routes.entry(owner).or_default().add(growth);
        total.add(growth);
    }
    let mut routes: Vec<_> = routes.iter().map(|(owner, growth)| route(owner, growth, window, last)).collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.traffic.requests));
    let cpu: Duration = seconds.iter().map(|second| second.cpu).sum();
    Live {
        at: last.at,
        window,
        total: traffic(&total, window),
        series: series(seconds),
        routes,
        plugins: hooks(seconds, window),
        upstreams: upstreams(seconds, window, last),
        connections: last.connections,
        process: ProcessFigures {
            memory_bytes: last.memory_bytes,
            cpu_percent: 100.0 * per(cpu.as_secs_f64(), window.as_secs_f64()),
            threads: last.threads,
            open_files: last.open_files,
        },
    }
}

fn per(amount: f64, of: f64) -> f64 {
    if of > 0.0 { amount / of } else { 0.0 }
}

fn rate(count: u64, window: Duration) -> f64 {
    per(count as f64, window.as_secs_f64())
}

fn traffic(growth: &RouteGrowth, window: Duration) -> Traffic {
    let [downstream, upstream, plugin, internal] = growth.faults;
    Traffic {
        requests: growth.requests(),
        requests_per_second: rate(growth.requests(), window),
        errors: Faults { downstream, upstream, plugin, internal },
        errors_per_second: rate(upstream + plugin + internal, window),
        status: growth.status,
        latency: latency(&growth.duration.spread()),
        head: latency(&growth.head.spread()),
        bytes_per_second: rate(growth.bytes, window),
        incomplete: growth.incomplete,
    }
}

fn latency(spread: &Spread) -> Latency {
    Latency { mean: spread.mean(), p50: spread.quantile(0.5), p95: spread.quantile(0.95), p99: spread.quantile(0.99) }
}

fn series(seconds: &[&Second]) -> Series {
    let mut series = Series::default();
    for second in seconds {
        let mut total = RouteGrowth::default();
        second.routes.iter().for_each(|(_, growth)| total.add(growth));
        let Traffic { requests_per_second, errors_per_second, latency, .. } = traffic(&total, second.took);
        series.requests_per_second.push(requests_per_second);
        series.errors_per_second.push(errors_per_second);
        series.p95.push(latency.p95);
    }
    series
}

fn route(owner: &Owner, growth: &RouteGrowth, window: Duration, last: &Snapshot) -> RouteFigures {
    let requests = growth.requests().max(1);
    let mean = |nanoseconds: u64| Duration::from_nanos(nanoseconds / requests);
    let [_, cache, upstream, plugins] = growth.parts.map(mean);
    let all = mean(growth.duration.spread().nanoseconds);
    let asked = growth.hits + growth.misses;
    let shares = growth.plugins.iter().map(|known| {
        let name = last.plugins.get(known.number as usize);
        let mean = mean(known.nanoseconds);
        PluginShare {
            plugin: name.map_or_else(|| "_other".to_owned(), |name| name.as_str().to_owned()),
            mean,
            // Of a request that broke off the plugins' time may be more than all that was counted.
            share: per(mean.as_secs_f64(), all.as_secs_f64()).min(1.0),
            calls_per_second: rate(known.calls, window),
        }
    });
    let mut shares: Vec<_> = shares.collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.mean));
    RouteFigures {
        route: owner.as_str().to_owned(),
        traffic: traffic(growth, window),
        reads: growth.reads,
        cache_hit_ratio: (asked > 0).then(|| per(growth.hits as f64, asked as f64)),
        time: Split { plugins, upstream, cache, other: all.saturating_sub(plugins + upstream + cache) },
        plugins: shares,
    }
}

fn hooks(seconds: &[&Second], window: Duration) -> Vec<HookFigures> {
    let mut sums: BTreeMap<(&Name, Hook), HookCounts> = BTreeMap::new();
    for (plugin, hook, counts) in seconds.iter().flat_map(|second| &second.hooks) {
        sums.entry((plugin, *hook)).or_default().add(counts);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.nanoseconds));
    let figures = sums.into_iter().map(|((plugin, hook), counts)| HookFigures {
        plugin: plugin.as_str().to_owned(),
        hook,
        calls_per_second: rate(counts.calls, window),
        mean: Duration::from_nanos(counts.nanoseconds / counts.calls.max(1)),
        failures_per_second: rate(counts.failures, window),
        fuel_per_call: per(counts.fuel as f64, counts.calls as f64),
    });
    figures.collect()
}

/// What endpoints were asked, second by second.
type BySecond<'s> = BTreeMap<&'s Name, BTreeMap<&'s str, Vec<Asked>>>;

fn endpoint((endpoint, seconds): (&&str, &Vec<Asked>)) -> EndpointFigures {
    let mut counts = Asked::default();
    seconds.iter().for_each(|second| counts.add(second));
    let mut means: Vec<_> = seconds.iter().filter_map(|counts| Some((counts.mean()?, counts.answers))).collect();
    means.sort_unstable();
    let mut faster = 0;
    let usual = means.iter().find(|(_, answers)| {
        faster += answers;
        faster * 2 >= counts.answers
    });
    EndpointFigures {
        endpoint: (*endpoint).to_owned(),
        requests: counts.requests,
        failures: counts.failures,
        answers: counts.answers,
        mean: counts.mean(),
        usual: usual.map(|(mean, _)| *mean),
    }
}

/// Those that there are, also without requests.
fn upstreams(seconds: &[&Second], window: Duration, last: &Snapshot) -> Vec<UpstreamFigures> {
    let mut endpoints = BySecond::new();
    for (upstream, endpoint, counts) in seconds.iter().flat_map(|second| &second.endpoints) {
        endpoints.entry(upstream).or_default().entry(endpoint).or_default().push(*counts);
    }
    let figures = last.upstreams.iter().map(|(name, _, gauges)| {
        let mut sum = UpstreamCounts::default();
        let of = seconds.iter().flat_map(|second| &second.upstreams).filter(|(known, _)| known == name);
        of.for_each(|(_, counts)| sum.add(counts));
        UpstreamFigures {
            upstream: name.as_str().to_owned(),
            requests_per_second: rate(sum.asked.requests, window),
            failures_per_second: rate(sum.asked.failures, window),
            in_flight: gauges.in_flight,
            mean: sum.asked.mean(),
            pending: gauges.pending,
            pending_refused_per_second: rate(sum.pending_refused, window),
            retries_per_second: rate(sum.retries, window),
            breakers_open: gauges.breakers_open,
            open_connections: gauges.open_connections,
            idle_connections: gauges.idle_connections,
            endpoints: endpoints.get(name).map(|known| known.iter().map(endpoint).collect()).unwrap_or_default(),
        }
    });
    figures.collect()
}
