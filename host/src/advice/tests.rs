//! Each hint is given where it helps, and not where it does not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::names::Hook;
use crate::telemetry::figures::{EndpointFigures, HookFigures, PluginShare, RouteFigures, Traffic, UpstreamFigures};
use crate::telemetry::refusals::{Alias, Often, Whence};
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
        routes: [("api", false), ("page", true)]
            .map(|(route, caches)| RouteKnown { name: name(route), caches, upstreams: vec![name("origin")] })
            .into(),
        pools: vec![PoolKnown { upstream: name("origin"), connections_max: 10, workers: 2 }],
        upstreams: &[],
        repeats: &no_repeats,
        cache_bytes: 0,
        cache_bytes_max: 100,
        exceeded: Vec::new(),
        turned_away: Refused::default(),
        crowds: Refused::default(),
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
        let About { route, plugin, upstream, endpoint, limit, key, address } = &hint.about;
        let told = [route, plugin, upstream, endpoint, limit, key, address].into_iter().flatten();
        for what in told.clone() {
            assert!(hint.text.contains(what.as_str()), "{what}: {}", hint.text);
        }
        told.cloned().collect::<Vec<_>>().join(" ")
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
    let asked = |which: &str, seen, status, upstream_rate| {
        told(|live, _, repeats, _| {
            let mut figures = route(which, 900);
            figures.traffic.status = status;
            live.routes.push(figures);
            let (upstream, requests_per_second) = ("origin".to_owned(), upstream_rate);
            live.upstreams.push(UpstreamFigures { upstream, requests_per_second, ..UpstreamFigures::default() });
            repeats.insert(name(which), seen);
        })
    };
    let with = |which: &str, compared, same| asked(which, Seen { compared, same }, [0, 300, 0, 600, 0], 5.0);
    assert_eq!(with("api", 100, 95), ["uncached_route api"]);
    assert!(with("api", 100, 70).is_empty(), "they change");
    assert!(with("api", 20, 20).is_empty(), "too few");
    assert!(with("page", 100, 100).is_empty(), "it does");
    let seen = Seen { compared: 100, same: 100 };
    assert!(asked("api", seen, [0, 0, 0, 900, 0], 5.0).is_empty(), "all were refused");
    assert!(asked("api", seen, [0, 900, 0, 0, 0], 0.0).is_empty(), "no upstream was asked");
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
            endpoints.push(report("a"));
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

fn report(name: &str) -> EndpointReport {
    EndpointReport { endpoint: name.to_owned(), healthy: true, ..EndpointReport::default() }
}

/// The hints about an upstream with these endpoints.
fn beside(endpoints: impl IntoIterator<Item = EndpointFigures>) -> Vec<String> {
    let endpoints = endpoints
        .into_iter()
        .zip('a'..)
        .map(|(figures, name)| EndpointFigures { endpoint: name.to_string(), ..figures });
    let upstream = UpstreamFigures { upstream: "origin".into(), endpoints: endpoints.collect(), ..Default::default() };
    told(|live, _, _, _| live.upstreams.push(upstream))
}

#[test]
fn one_bad_endpoint_among_good_ones_is_named() {
    let with = |one: (u64, u64), other: (u64, u64)| {
        beside([one, other].map(|(requests, failures)| EndpointFigures { requests, failures, ..Default::default() }))
    };
    assert_eq!(with((100, 20), (100, 1)), ["failing_endpoint origin a"]);
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

#[test]
fn one_slow_endpoint_among_fast_ones_is_named() {
    let with = |endpoints: &[(u64, u64)]| {
        beside(endpoints.iter().map(|(answers, ms)| EndpointFigures {
            answers: *answers,
            usual: Some(Duration::from_millis(*ms)),
            ..Default::default()
        }))
    };
    assert_eq!(with(&[(100, 60), (100, 20)]), ["slow_endpoint origin a"]);
    assert_eq!(
        with(&[(100, 20), (500, 20), (100, 80), (20, 60)]),
        ["slow_endpoint origin c", "slow_endpoint origin d"]
    );
    assert!(with(&[(100, 60), (100, 40)]).is_empty(), "not by much");
    assert!(with(&[(100, 9), (100, 1)]).is_empty(), "nobody feels it");
    assert!(with(&[(10, 60), (100, 20)]).is_empty(), "too few");
    assert!(with(&[(100, 60), (10, 20)]).is_empty(), "too few others");
    assert!(with(&[(100, 60)]).is_empty(), "no others");
}

fn often(count: u64, whence: Whence) -> Often {
    Often { alias: Alias(0xab), count, whence }
}

#[test]
fn a_key_that_floods_a_limit_is_named_without_being_told() {
    let with = |total, keys: &[Often]| {
        let refused = Refused { total, keys: keys.to_vec() };
        let exceeded = Exceeded { owner: name("rate-limit"), limit: "per-key".into(), refused };
        told(|_, known, _, _| known.exceeded.push(exceeded))
    };
    let (one, net) = ("192.0.2.7".parse().unwrap(), "2001:db8::".parse().unwrap());
    let several = "flooded_limit rate-limit per-key #000000ab";
    assert_eq!(with(1000, &[often(900, Whence::Only(one))]), [format!("{several} 192.0.2.7")]);
    assert_eq!(with(1000, &[often(900, Whence::Mostly(net))]), [format!("{several} 2001:db8::/64")]);
    assert_eq!(with(1000, &[often(500, Whence::Several), often(100, Whence::Only(one))]), [several]);
    assert!(with(1000, &[often(200, Whence::Only(one))]).is_empty(), "one of many");
    assert!(with(50, &[often(50, Whence::Only(one))]).is_empty(), "too few");
}

#[test]
fn an_address_that_comes_again_and_again_is_named() {
    let address = "192.0.2.7".parse().unwrap();
    let refused = |count| Refused { total: 1000, keys: vec![often(count, Whence::Only(address))] };
    let banned = |count| told(|_, known, _, _| known.turned_away = refused(count));
    assert_eq!(banned(900), ["flooding_address 192.0.2.7"]);
    assert!(banned(500).is_empty());
    let crowded = |count| told(|_, known, _, _| known.crowds = refused(count));
    assert_eq!(crowded(900), ["flooding_address 192.0.2.7"]);
    assert!(crowded(500).is_empty());
}
