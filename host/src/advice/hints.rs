//! The hints, one function for each kind; those about endpoints and about floods have files of their own.
//!
//! Pure. Every threshold is a constant with its reason.

use std::time::Duration;

use super::{About, Hint, Known, Severity, endpoints, floods};

/// Requests below which a share says little.
pub(super) const REQUESTS_MIN: u64 = 20;
/// Answers below which it is too early to say that they repeat: sampled one in 16, these stand for five hundred.
const COMPARED_MIN: u64 = 32;
/// Of a hundred answers so many the same: a cache would spare most of them.
const SAME_MIN: f64 = 0.8;
/// A plugin that takes more than this part of a route's time takes most of it.
const SHARE_MIN: f64 = 0.5;
/// What is shorter than this nobody feels.
const MEAN_MIN: Duration = Duration::from_millis(1);
/// Of a hundred calls one that fails is not chance.
const FAILING_MIN: f64 = 0.01;
/// A pool so full has no room for a burst.
const POOL_FULL: f64 = 0.9;
/// A cache so full throws out what it stores.
const CACHE_FULL: f64 = 0.95;
/// A cache that answers more than this is large enough for what is asked for.
const HIT_RATIO_GOOD: f64 = 0.9;

/// The hints, warnings first.
pub fn advise(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = uncached(known);
    hints.extend(slow_plugins(known));
    hints.extend(failing_plugins(known));
    hints.extend(small_pools(known));
    hints.extend(endpoints::failing(known));
    hints.extend(endpoints::slow(known));
    hints.extend(floods::limits(known));
    hints.extend(floods::turned_away(known));
    hints.extend(floods::crowds(known));
    hints.extend(small_cache(known));
    hints.sort_by_key(|hint| hint.severity == Severity::Info);
    hints
}

/// Routes whose answers hardly change and are not cached.
fn uncached(known: &Known<'_>) -> Vec<Hint> {
    let hint = |route: &super::RouteKnown| {
        let seen = known.repeats.get(&route.name).filter(|seen| seen.compared >= COMPARED_MIN)?;
        let same = seen.same as f64 / seen.compared as f64;
        if route.caches || same < SAME_MIN {
            return None;
        }
        let name = route.name.as_str();
        let rate = asked_per_second(known, route);
        // What was seen may be long ago.
        if rate * known.live.window.as_secs_f64() < REQUESTS_MIN as f64 {
            return None;
        }
        let text = format!(
            "Answers of route {name} hardly change: of {} that were compared with the one before for the same URL, {:.0} % were the same. \
             Its upstream answers it {rate:.1} times a second. Let it cache: \"cache\": true on the route stores what the upstream's \
             Cache-Control or Expires allows; where it says only when an answer was modified, \"cache\": {{\"heuristic_percent\": 10}} does; \
             where it says nothing, the plugin smart-cache with {{\"ttl\": \"30s\"}}.",
            seen.compared,
            same * 100.0
        );
        Some(Hint {
            kind: "uncached_route",
            severity: Severity::Info,
            about: About { route: Some(name.to_owned()), ..About::default() },
            text,
            figures: vec![("compared", seen.compared as f64), ("same_ratio", same), ("requests_per_second", rate)],
        })
    };
    known.routes.iter().filter_map(hint).collect()
}

/// How often a route's upstreams give it answers that a cache could have given: what was refused before they were asked does not count.
fn asked_per_second(known: &Known<'_>, route: &super::RouteKnown) -> f64 {
    let figures = known.live.routes.iter().find(|figures| figures.route == route.name.as_str());
    let [_, good, redirected, _, _] = figures.map_or([0; 5], |figures| figures.traffic.status);
    let good = (good + redirected) as f64 / known.live.window.as_secs_f64().max(1.0);
    // What a plugin answers itself no upstream has been asked for.
    let is_its = |upstream: &str| route.upstreams.iter().any(|name| name.as_str() == upstream);
    let upstreams = known.live.upstreams.iter().filter(|figures| is_its(&figures.upstream));
    good.min(upstreams.map(|figures| figures.requests_per_second).sum())
}

/// Plugins that take most of a route's time.
fn slow_plugins(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for route in known.live.routes.iter().filter(|route| route.traffic.requests >= REQUESTS_MIN) {
        for plugin in &route.plugins {
            if plugin.share <= SHARE_MIN || plugin.mean <= MEAN_MIN {
                continue;
            }
            let (name, ms) = (&plugin.plugin, plugin.mean.as_secs_f64() * 1e3);
            let text = format!(
                "Plugin {name} takes {ms:.1} ms of each request on route {}, {:.0} % of its time. Make it faster, keep it from routes that do not \
                 need it (\"plugins\": {{\"{name}\": false}} on the route), or switch it off to compare.",
                route.route,
                plugin.share * 100.0
            );
            hints.push(Hint {
                kind: "slow_plugin",
                severity: Severity::Warning,
                about: About { route: Some(route.route.clone()), plugin: Some(name.clone()), ..About::default() },
                text,
                figures: vec![
                    ("mean_ms", ms),
                    ("share", plugin.share),
                    ("requests_per_second", route.traffic.requests_per_second),
                ],
            });
        }
    }
    hints
}

/// Plugins whose calls fail.
fn failing_plugins(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for hook in &known.live.plugins {
        let calls = hook.calls_per_second * known.live.window.as_secs_f64();
        let part = hook.failures_per_second / hook.calls_per_second.max(f64::MIN_POSITIVE);
        if calls < REQUESTS_MIN as f64 || part < FAILING_MIN {
            continue;
        }
        let name = &hook.plugin;
        let text = format!(
            "Plugin {name} fails in {:.1} % of its calls of {} ({:.2} a second). Its traps say why; after \"limits\": \
             {{\"quarantine_failures\": …}} in a row it is not asked for a while.",
            part * 100.0,
            hook.hook.as_str(),
            hook.failures_per_second
        );
        hints.push(Hint {
            kind: "failing_plugin",
            severity: Severity::Warning,
            about: About { plugin: Some(name.clone()), ..About::default() },
            text,
            figures: vec![("failure_ratio", part), ("failures_per_second", hook.failures_per_second)],
        });
    }
    hints
}

/// Pools of connections that are too small.
fn small_pools(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for pool in &known.pools {
        let name = pool.upstream.as_str();
        let Some(figures) = known.live.upstreams.iter().find(|figures| figures.upstream == name) else { continue };
        let endpoints = known.upstreams.iter().find(|report| report.name == pool.upstream);
        let endpoints = endpoints.map_or(0, |report| report.endpoints.len());
        let room = (pool.connections_max * pool.workers * endpoints) as f64;
        let used = (figures.open_connections.saturating_sub(figures.idle_connections)) as f64;
        let waits = figures.pending > 0 || figures.pending_refused_per_second > 0.0;
        if !waits && (room <= 0.0 || used < POOL_FULL * room) {
            continue;
        }
        let text = format!(
            "Requests to upstream {name} wait for connections: {} wait now, {:.1} a second are refused, and {used:.0} of {room:.0} \
             connections are busy. Allow it more: \"connections_max\" of the upstream is {} for each endpoint and worker.",
            figures.pending, figures.pending_refused_per_second, pool.connections_max
        );
        hints.push(Hint {
            kind: "small_pool",
            severity: Severity::Warning,
            about: About { upstream: Some(name.to_owned()), ..About::default() },
            text,
            figures: vec![
                ("pending", figures.pending as f64),
                ("refused_per_second", figures.pending_refused_per_second),
                ("busy_connections", used),
                ("connections_max", room),
            ],
        });
    }
    hints
}

/// A cache that is full while much is asked for that it does not have.
fn small_cache(known: &Known<'_>) -> Vec<Hint> {
    let full = known.cache_bytes as f64 / known.cache_bytes_max.max(1) as f64;
    let asked = known.live.routes.iter().filter(|route| route.traffic.requests >= REQUESTS_MIN);
    let worst = asked
        .filter_map(|route| Some((route, route.cache_hit_ratio?)))
        .filter(|(_, ratio)| *ratio < HIT_RATIO_GOOD)
        .min_by(|(_, one), (_, other)| one.total_cmp(other));
    let Some((route, ratio)) = worst.filter(|_| full >= CACHE_FULL) else { return Vec::new() };
    let mib = |bytes: u64| bytes as f64 / f64::from(1024 * 1024);
    let text = format!(
        "The cache is full ({:.0} of {:.0} MiB), so what is stored goes before it is stale, and only {:.0} % of the requests of route {} are \
         answered by it. Give it more: \"cache\": {{\"memory_bytes_max\": …}}.",
        mib(known.cache_bytes),
        mib(known.cache_bytes_max),
        ratio * 100.0,
        route.route
    );
    vec![Hint {
        kind: "small_cache",
        severity: Severity::Info,
        about: About { route: Some(route.route.clone()), ..About::default() },
        text,
        figures: vec![
            ("bytes", known.cache_bytes as f64),
            ("bytes_max", known.cache_bytes_max as f64),
            ("hit_ratio", ratio),
        ],
    }]
}
