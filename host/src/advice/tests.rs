//! Each hint is given where it helps, and not where it does not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::names::Hook;
use crate::telemetry::figures::{HookFigures, PluginShare, RouteFigures, Traffic, UpstreamFigures};
use crate::upstream::EndpointReport;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The kinds and subjects of the hints.
fn told(
    change: impl FnOnce(&mut Live, &mut Known<'_>, &mut BTreeMap<Name, Seen>, &mut Vec<EndpointReport>),
) -> Vec<String> {
    let mut live = Live { window: Duration::from_secs(60), ..Live::default() };
    let (mut repeats, mut endpoints) = (BTreeMap::new(), Vec::new());
    let (no_live, no_repeats) = (Live::default(), BTreeMap::new());
    let mut known = Known {
        live: &no_live,
        routes: vec![RouteKnown { name: name("api"), caches: false }, RouteKnown { name: name("page"), caches: true }],
        pools: vec![PoolKnown { upstream: name("origin"), connections_max: 10, workers: 2 }],
        upstreams: &[],
        repeats: &no_repeats,
        cache_bytes: 0,
        cache_bytes_max: 100,
    };
    change(&mut live, &mut known, &mut repeats, &mut endpoints);
    let spread = crate::telemetry::times::Spread::default();
    let upstreams = [UpstreamReport {
        name: name("origin"),
        endpoints,
        retries: [0; 2],
        pending: [0; 2],
        breakers_open: 0,
        breaker: [0; 2],
        times: spread,
    }];
    let known = Known { live: &live, repeats: &repeats, upstreams: &upstreams, ..known };
    let about = |hint: &Hint| {
        let About { route, plugin, upstream } = &hint.about;
        [route, plugin, upstream].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
    };
    let hints = advise(&known);
    for hint in &hints {
        assert!(hint.text.contains(char::is_numeric) && hint.text.contains('"') && hint.json()["figures"].is_object());
    }
    hints.iter().map(|hint| format!("{} {}", hint.kind, about(hint))).collect()
}

fn route(route: &str, requests: u64) -> RouteFigures {
    let traffic = Traffic { requests, requests_per_second: 5.0, ..Traffic::default() };
    RouteFigures { route: route.to_owned(), traffic, ..RouteFigures::default() }
}

#[test]
fn without_traffic_nothing_is_said() {
    assert!(told(|_, _, _, _| {}).is_empty());
}

#[test]
fn a_route_whose_answers_repeat_should_cache() {
    let with = |route: &str, compared, same| {
        told(|_, _, repeats, _| {
            repeats.insert(name(route), Seen { compared, same });
        })
    };
    assert_eq!(with("api", 100, 95), ["uncached_route api"]);
    assert!(with("api", 100, 70).is_empty(), "they change");
    assert!(with("api", 20, 20).is_empty(), "too few");
    assert!(with("page", 100, 100).is_empty(), "it does");
}

#[test]
fn a_plugin_that_takes_most_of_the_time_is_named() {
    let with = |requests, mean: Duration, share| {
        told(move |live, _, _, _| {
            let plugin = PluginShare { plugin: "auth".to_owned(), mean, share, calls_per_second: 5.0 };
            live.routes.push(RouteFigures { plugins: vec![plugin], ..route("api", requests) });
        })
    };
    assert_eq!(with(100, Duration::from_millis(3), 0.6), ["slow_plugin api auth"]);
    assert!(with(100, Duration::from_micros(900), 0.9).is_empty(), "nobody feels it");
    assert!(with(100, Duration::from_millis(3), 0.4).is_empty(), "others take more");
    assert!(with(5, Duration::from_millis(3), 0.6).is_empty(), "too few");
}

#[test]
fn a_plugin_that_fails_is_named() {
    let with = |calls_per_second, failures_per_second| {
        told(move |live, _, _, _| {
            live.plugins.push(HookFigures {
                plugin: "auth".to_owned(),
                hook: Hook::PreHandler,
                calls_per_second,
                mean: Duration::ZERO,
                failures_per_second,
                fuel_per_call: 0.0,
            });
        })
    };
    assert_eq!(with(10.0, 0.2), ["failing_plugin auth"]);
    assert!(with(10.0, 0.05).is_empty());
    assert!(with(0.1, 0.1).is_empty(), "too few");
}

#[test]
fn a_pool_in_which_requests_wait_is_too_small() {
    let with = |pending, open_connections, idle_connections| {
        told(move |live, _, _, endpoints| {
            endpoints.push(endpoint("a", 0, 0));
            let upstream = "origin".to_owned();
            live.upstreams.push(UpstreamFigures {
                upstream,
                pending,
                open_connections,
                idle_connections,
                ..UpstreamFigures::default()
            });
        })
    };
    assert_eq!(with(1, 5, 0), ["small_pool origin"]);
    assert_eq!(with(0, 20, 1), ["small_pool origin"]);
    assert!(with(0, 20, 10).is_empty(), "half of them idle");
}

fn endpoint(name: &str, requests: u64, failures: u64) -> EndpointReport {
    let endpoint = name.to_owned();
    EndpointReport { endpoint, healthy: true, turns: [0; 2], ejected: 0, busy: 0, open: 0, idle: 0, requests, failures }
}

#[test]
fn one_bad_endpoint_among_good_ones_is_named() {
    let with = |one: (u64, u64), other: (u64, u64)| {
        told(move |_, _, _, endpoints| endpoints.extend([endpoint("a", one.0, one.1), endpoint("b", other.0, other.1)]))
    };
    assert_eq!(with((100, 20), (100, 1)), ["failing_endpoint origin"]);
    assert!(with((100, 20), (100, 18)).is_empty(), "all are bad");
    assert!(with((10, 9), (100, 0)).is_empty(), "too few");
}

#[test]
fn a_full_cache_that_misses_is_too_small() {
    let with = |bytes, ratio| {
        told(move |live, known, _, _| {
            known.cache_bytes = bytes;
            live.routes.push(RouteFigures { cache_hit_ratio: Some(ratio), ..route("page", 100) });
        })
    };
    assert_eq!(with(99, 0.4), ["small_cache page"]);
    assert!(with(99, 0.95).is_empty());
    assert!(with(50, 0.4).is_empty());
}
