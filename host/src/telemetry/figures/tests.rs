//! Snapshots in, figures out: rates, quantiles, shares, and what is kept.

use super::*;
use crate::exchange::{CacheStatus, Reason};
use crate::telemetry::accounts::{Methods, PluginSum, Sum};
use crate::telemetry::times::bucket;
use crate::time::{self, Instant};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn route(text: &str) -> Owner {
    Owner::Route(name(text))
}

/// So many GET requests with 200, each of which took so long.
fn served(sum: &mut Sum, requests: u64, took: Duration) {
    sum.requests[Methods::Get as usize][1] += requests;
    for spread in [&mut sum.duration, &mut sum.head] {
        spread.buckets[bucket(took.as_nanos() as u64)] += requests;
        spread.nanoseconds += took.as_nanos() as u64 * requests;
    }
}

struct Counters {
    start: Instant,
    snapshot: Snapshot,
}

impl Counters {
    fn new() -> Self {
        let start = time::now();
        let snapshot = Snapshot {
            moment: start,
            at: Duration::from_secs(1000),
            routes: Vec::new(),
            plugins: vec![name("auth"), name("timing")],
            hooks: Vec::new(),
            upstreams: Vec::new(),
            endpoints: Vec::new(),
            cpu: Duration::ZERO,
            connections: ConnectionFigures { open: 3, requests_in_flight: 2 },
            memory_bytes: 1000,
            threads: 5,
            open_files: 9,
        };
        Self { start, snapshot }
    }

    fn route(&mut self, owner: Owner) -> &mut Sum {
        let routes = &mut self.snapshot.routes;
        if let Some(index) = routes.iter().position(|(known, _)| *known == owner) {
            return &mut routes[index].1;
        }
        routes.push((owner, Sum::default()));
        &mut routes.last_mut().unwrap().1
    }

    /// So long after the start.
    fn after(&self, seconds: u64) -> Snapshot {
        let since = Duration::from_secs(seconds);
        Snapshot { moment: self.start + since, at: self.snapshot.at + since, ..self.snapshot.clone() }
    }
}

fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[test]
fn what_was_before_the_first_snapshot_is_not_counted() {
    let figures = Figures::default();
    assert_eq!(figures.live(Duration::from_secs(60)), Live::default());
    let mut counters = Counters::new();
    served(counters.route(route("a")), 1000, Duration::from_millis(1));
    figures.note(counters.after(0));
    let live = figures.live(Duration::from_secs(60));
    assert_eq!((live.total.requests, live.window, live.series.p95.len()), (0, Duration::ZERO, 0));
    assert_eq!((live.total.latency, live.total.requests_per_second), (Latency::default(), 0.0));
    assert_eq!((live.connections.open, live.process.threads), (3, 5));
}

#[test]
fn rates_and_quantiles_are_those_of_the_window() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    figures.note(counters.after(0));
    // 90 requests between 1 and 1.5 ms.
    served(counters.route(route("a")), 90, Duration::from_micros(1200));
    counters.snapshot.cpu = Duration::from_millis(250);
    figures.note(counters.after(1));
    // 10 more between 8 and 10 ms, and some that failed.
    let sum = counters.route(route("a"));
    served(sum, 10, Duration::from_millis(9));
    sum.failures[Reason::UpstreamTimeout as usize] += 4;
    sum.failures[Reason::NoFile as usize] += 3;
    sum.upstream_status += 2;
    sum.response_bytes += 5000;
    figures.note(counters.after(2));
    let live = figures.live(Duration::from_secs(60));
    let Traffic { requests, requests_per_second, errors, errors_per_second, latency, .. } = live.total;
    assert_eq!((requests, live.window), (100, Duration::from_secs(2)));
    close(requests_per_second, 50.0);
    assert_eq!((errors.upstream, errors.downstream), (6, 3));
    close(errors_per_second, 3.0);
    assert_eq!(latency.p50.unwrap(), Duration::from_nanos(1_277_777));
    assert_eq!(latency.p95.unwrap(), Duration::from_millis(9));
    assert_eq!(latency.mean.unwrap(), Duration::from_micros(1980));
    close(live.total.bytes_per_second, 2500.0);
    close(live.process.cpu_percent, 12.5);
    assert_eq!(live.series.requests_per_second, [90.0, 10.0]);
    assert_eq!(live.series.errors_per_second, [0.0, 6.0]);
    assert_eq!(live.series.p95[1], Some(Duration::from_micros(9900)));
    // Of the last second alone.
    let live = figures.live(Duration::from_secs(1));
    assert_eq!((live.total.requests, live.window), (10, Duration::from_secs(1)));
    close(live.process.cpu_percent, 0.0);
}

#[test]
fn the_time_of_a_route_is_split_and_its_plugins_have_shares() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    figures.note(counters.after(0));
    let sum = counters.route(route("a"));
    served(sum, 10, Duration::from_millis(10));
    sum.parts = [0, 10_000_000, 20_000_000, 60_000_000];
    sum.plugins = vec![
        PluginSum { number: 0, calls: 10, nanoseconds: 10_000_000 },
        PluginSum { number: 1, calls: 5, nanoseconds: 50_000_000 },
    ];
    sum.cache[CacheStatus::Hit as usize] = 9;
    sum.cache[CacheStatus::Miss as usize] = 1;
    served(counters.route(route("b")), 30, Duration::from_millis(1));
    figures.note(counters.after(1));
    let live = figures.live(Duration::from_secs(10));
    let names: Vec<_> = live.routes.iter().map(|route| route.route.as_str()).collect();
    assert_eq!(names, ["b", "a"], "the busiest first");
    let a = &live.routes[1];
    let millis = Duration::from_millis;
    let split = Split { plugins: millis(6), upstream: millis(2), cache: millis(1), other: millis(1) };
    assert_eq!((a.time, a.cache_hit_ratio, a.reads), (split, Some(0.9), 10));
    assert_eq!(live.routes[0].cache_hit_ratio, None);
    let [slow, fast] = &a.plugins[..] else { panic!("{:?}", a.plugins) };
    assert_eq!((slow.plugin.as_str(), slow.mean), ("timing", millis(5)));
    close(slow.share, 0.5);
    close(slow.calls_per_second, 5.0);
    assert_eq!((fast.plugin.as_str(), fast.mean), ("auth", millis(1)));
    close(fast.share, 0.1);
}

#[test]
fn hooks_and_upstreams_are_told_with_what_they_cost() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    let asked = Asked { requests: 100, answers: 100, nanoseconds: 1_000_000_000, ..Asked::default() };
    let upstream = UpstreamCounts { asked, ..UpstreamCounts::default() };
    let gauges = UpstreamGauges { in_flight: 4, breakers_open: 1, ..UpstreamGauges::default() };
    counters.snapshot.upstreams = vec![(name("origin"), upstream, gauges)];
    figures.note(counters.after(0));
    let later = Asked { requests: 110, failures: 2, answers: 109, nanoseconds: 1_018_000_000 };
    counters.snapshot.upstreams[0].1.asked = later;
    let counts = |calls, nanoseconds| HookCounts { calls, failures: 1, nanoseconds, fuel: calls * 7 };
    counters.snapshot.hooks = vec![
        (name("auth"), Hook::PreHandler, counts(10, 100_000)),
        (name("timing"), Hook::PostHandler, counts(2, 800_000)),
    ];
    figures.note(counters.after(2));
    let live = figures.live(Duration::from_secs(10));
    let hooks: Vec<_> = live.plugins.iter().map(|hook| (hook.plugin.as_str(), hook.hook, hook.mean)).collect();
    let micros = Duration::from_micros;
    let expected = [("timing", Hook::PostHandler, micros(400)), ("auth", Hook::PreHandler, micros(10))];
    assert_eq!(hooks, expected, "the most expensive first");
    close(live.plugins[1].calls_per_second, 5.0);
    close(live.plugins[1].failures_per_second, 0.5);
    close(live.plugins[1].fuel_per_call, 7.0);
    let [origin] = &live.upstreams[..] else { panic!("{:?}", live.upstreams) };
    assert_eq!((origin.mean, origin.in_flight, origin.breakers_open), (Some(Duration::from_millis(2)), 4, 1));
    close(origin.requests_per_second, 5.0);
    close(origin.failures_per_second, 1.0);
}

#[test]
fn five_minutes_are_kept_and_an_upstream_may_begin_anew() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    for second in 0..400 {
        served(counters.route(route("a")), 1, Duration::from_millis(1));
        let asked = Asked { requests: 400 - second, ..Asked::default() };
        let counts = UpstreamCounts { asked, ..UpstreamCounts::default() };
        counters.snapshot.upstreams = vec![(name("u"), counts, UpstreamGauges::default())];
        figures.note(counters.after(second));
    }
    let live = figures.live(Duration::from_secs(1000));
    assert_eq!((live.total.requests, live.window), (300, WINDOW_MAX));
    assert_eq!(live.series.requests_per_second.len(), 300);
    close(live.upstreams[0].requests_per_second, 0.0);
}

#[test]
fn the_busiest_routes_are_told_apart() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    figures.note(counters.after(0));
    for number in 0..ROUTES_MAX as u64 + 3 {
        served(counters.route(route(&format!("r{number}"))), number + 1, Duration::from_millis(1));
    }
    figures.note(counters.after(1));
    let live = figures.live(Duration::from_secs(1));
    assert_eq!(live.routes.len(), ROUTES_MAX + 1);
    let others = live.routes.iter().find(|route| route.route == "_other").unwrap();
    assert_eq!(others.traffic.requests, 1 + 2 + 3);
    assert_eq!(live.total.requests, (1..=203).sum::<u64>());
}

#[test]
fn the_json_has_what_was_promised() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    figures.note(counters.after(0));
    let sum = counters.route(route("a"));
    served(sum, 10, Duration::from_millis(9));
    sum.plugins = vec![PluginSum { number: 0, calls: 10, nanoseconds: 45_000_000 }];
    figures.note(counters.after(1));
    let json = figures.live(Duration::from_secs(60)).json("now");
    let at = |pointer: &str| json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json:#}")).clone();
    assert_eq!(at("/at"), "now");
    assert_eq!(at("/window_seconds"), 1);
    assert_eq!(at("/total/requests_per_second"), 10.0);
    assert_eq!(at("/total/errors/upstream"), 0);
    assert_eq!(at("/total/status/2xx"), 10);
    assert_eq!(at("/total/latency_ms/p50"), 9.0);
    assert_eq!(at("/series/p95_ms/0"), 9.9);
    assert_eq!(at("/routes/0/plugins/0/share"), 0.5);
    assert_eq!(at("/routes/0/plugins/0/mean_ms"), 4.5);
    assert_eq!(at("/routes/0/time_ms/other"), 9.0);
    assert!(at("/routes/0/cache_hit_ratio").is_null());
    assert_eq!(at("/connections/requests_in_flight"), 2);
    assert_eq!(at("/process/open_files"), 9);
}

#[test]
fn an_endpoint_has_a_usual_time_that_a_few_answers_do_not_change() {
    let (figures, mut counters) = (Figures::default(), Counters::new());
    counters.snapshot.upstreams.push((name("origin"), UpstreamCounts::default(), UpstreamGauges::default()));
    let mut counts = Asked { requests: 1_000, failures: 10, answers: 990, nanoseconds: 5_000_000_000 };
    let mut note = |seconds, counts| {
        counters.snapshot.endpoints = vec![(name("origin"), "a".into(), counts), (name("origin"), "b".into(), counts)];
        figures.note(counters.after(seconds));
    };
    note(0, counts);
    for (second, millis) in [(1, 5), (2, 5), (3, 2_000), (4, 6), (5, 6)] {
        counts.requests += 11;
        counts.failures += 1;
        counts.answers += 10;
        counts.nanoseconds += millis * 10_000_000;
        note(second, counts);
    }
    let of = |seconds| figures.live(Duration::from_secs(seconds)).upstreams[0].endpoints.clone();
    let [one, _] = &of(60)[..] else { panic!("two endpoints") };
    let expected = EndpointFigures {
        endpoint: "a".to_owned(),
        requests: 55,
        failures: 5,
        answers: 50,
        mean: Some(Duration::from_micros(404_400)),
        usual: Some(Duration::from_millis(6)),
    };
    assert_eq!(*one, expected);
    assert_eq!(of(2)[0].mean, Some(Duration::from_millis(6)), "what is over does not count");
    note(6, counts);
    assert!(of(1).is_empty(), "who was not asked is not told");
    let many = |requests| {
        let counts = Asked { requests, ..Asked::default() };
        (0..ENDPOINTS_MAX as u64 + 9).map(move |number| (name("origin"), Arc::from(number.to_string()), counts))
    };
    counters.snapshot.endpoints = many(1).collect();
    figures.note(counters.after(7));
    assert_eq!(of(1).len(), ENDPOINTS_MAX);
}
