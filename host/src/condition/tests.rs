//! What is found, and what follows from it for the parts and the whole.

use std::time::Duration;

use super::*;
use crate::modes::{By, Mode, Standing, Word};
use crate::telemetry::times::Spread;
use crate::time;
use crate::upstream::{EndpointReport, UpstreamReport};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn well() -> Findings {
    Findings {
        serving: true,
        draining: false,
        workers: vec![(0, Beat::Beating), (1, Beat::Beating)],
        refused: None,
        restart_needed: Vec::new(),
        problems: Vec::new(),
        plugins: vec![("auth".to_owned(), None)],
        upstreams: vec![upstream([endpoint("a", true, 0), endpoint("b", true, 0)])],
        cache: Vec::new(),
        redis: None,
        state: Vec::new(),
        certificates: vec![Certificate { name: "a.example".to_owned(), ends: Some(1000 * DAY) }],
        alerts: Vec::new(),
        mode: Standing { mode: Mode::Normal, since: Duration::ZERO, by: By::Start },
        now: 900 * DAY,
    }
}

fn endpoint(name: &str, healthy: bool, ejected: u64) -> EndpointReport {
    EndpointReport { endpoint: name.to_owned(), healthy, ejected, ..EndpointReport::default() }
}

fn upstream(endpoints: impl Into<Vec<EndpointReport>>) -> UpstreamReport {
    let name = "origin".parse().unwrap();
    UpstreamReport {
        name,
        endpoints: endpoints.into(),
        retries: [0; 2],
        pending: [0; 2],
        breakers_open: 0,
        breaker: [0; 2],
        times: Spread::default(),
    }
}

/// The word, and the parts that are not healthy: `name status: reasons`.
fn told(change: impl FnOnce(&mut Findings)) -> String {
    let mut found = well();
    change(&mut found);
    let whole = tree(&found);
    let bad = whole.parts.iter().filter(|part| part.status != Status::Healthy);
    let parts = bad.map(|part| format!("{} {}: {}", part.name, part.status.as_str(), part.reasons.join("; ")));
    let parts: Vec<String> = parts.collect();
    format!("{} {} | {}", word(&found, &whole).as_str(), whole.status.as_str(), parts.join(" | "))
}

#[test]
fn all_is_well() {
    assert_eq!(told(|_| {}), "ready healthy | ");
    let names: Vec<_> = tree(&well()).parts.iter().map(|part| part.name.clone()).collect();
    let expected = ["workers", "configuration", "plugins", "upstreams", "cache", "certificates", "alerts", "mode"];
    assert_eq!(names, expected);
    let shared = Findings { redis: Some(Vec::new()), ..well() };
    assert!(tree(&shared).find("redis").is_some(), "only where there is one");
}

#[test]
fn without_generation_or_worker_nothing_is_served() {
    assert_eq!(told(|found| found.serving = false), "starting unhealthy | ");
    let stuck = Beat::Stuck(Duration::from_secs(12));
    assert_eq!(
        told(|found| found.workers[1].1 = stuck),
        "degraded degraded | workers degraded: worker-1: has done nothing for 12 s"
    );
    let all = told(|found| found.workers.iter_mut().for_each(|(_, beat)| *beat = stuck));
    assert!(all.starts_with("unhealthy unhealthy | workers unhealthy: worker-0"), "{all}");
    let ended = |found: &mut Findings| found.workers.iter_mut().for_each(|(_, beat)| *beat = Beat::Ended);
    assert!(told(ended).starts_with("unhealthy unhealthy"));
    let draining = |found: &mut Findings| {
        ended(found);
        found.draining = true;
    };
    assert_eq!(told(draining), "draining healthy | ");
}

#[test]
fn a_refused_change_and_broken_plugins_are_told() {
    let refused =
        |found: &mut Findings| found.refused = Some(("configuration".to_owned(), "one\ntwo\nthree".to_owned()));
    let expected =
        "degraded degraded | configuration degraded: a change of the configuration was refused: one (and 2 more)";
    assert_eq!(told(refused), expected);
    assert_eq!(
        told(|found| found.problems.push("x.wasm: is no component".to_owned())),
        "degraded degraded | plugins degraded: x.wasm: is no component"
    );
    let quarantined = |found: &mut Findings| {
        found.plugins.push(("bad".to_owned(), Some(Duration::from_millis(2500))));
    };
    let why = "bad: is quarantined for 2 s more, because it failed again and again";
    assert_eq!(told(quarantined), format!("degraded degraded | plugins degraded: {why}"));
    let waiting = told(|found| found.restart_needed = vec!["$.workers".to_owned(), "$.listeners".to_owned()]);
    let why = "$.workers, $.listeners changed since the start and will take effect at the next one";
    assert_eq!(waiting, format!("degraded degraded | configuration degraded: {why}"));
    let closed = told(|found| found.state.push("every change is refused".to_owned()));
    assert_eq!(closed, "degraded degraded | configuration degraded: every change is refused");
}

#[test]
fn an_upstream_is_unhealthy_when_nobody_of_it_can_be_asked() {
    let with = |report: UpstreamReport| told(|found| found.upstreams = vec![report]);
    let one = with(upstream([endpoint("a", false, 0), endpoint("b", true, 0)]));
    assert_eq!(one, "degraded degraded | upstreams degraded: origin: a is unhealthy: its checks fail");
    let both = with(upstream([endpoint("a", false, 0), endpoint("b", true, 2)]));
    assert_eq!(both, "degraded degraded | upstreams unhealthy: origin: all of its endpoints are down (2)");
    let some = with(upstream([endpoint("a", true, 1)]));
    let why = "origin: a is ejected by 1 of 2 workers: requests to it fail";
    assert_eq!(some, format!("degraded degraded | upstreams degraded: {why}"));
    let failing = |failing| with(upstream([EndpointReport { failing, ..endpoint("a", true, 0) }]));
    let why = "origin: a has failed its last 8 requests, all of them";
    assert_eq!(failing(8), format!("degraded degraded | upstreams degraded: {why}"));
    assert_eq!(failing(2), "ready healthy | ", "that may be chance");
    let open = UpstreamReport { breakers_open: 2, ..upstream([endpoint("a", true, 0)]) };
    let why = "origin: the breaker is open in 2 of 2 workers";
    assert_eq!(with(open), format!("degraded degraded | upstreams unhealthy: {why}"));
    let beside = told(|found| {
        let other = UpstreamReport { name: "other".parse().unwrap(), ..upstream([endpoint("c", true, 0)]) };
        found.upstreams = vec![upstream([endpoint("a", false, 0)]), other];
    });
    assert_eq!(beside, "degraded degraded | upstreams degraded: origin: all of its endpoints are down (1)");
}

#[test]
fn certificates_are_looked_at_before_they_end() {
    let ends = |ends| told(move |found: &mut Findings| found.certificates[0].ends = ends);
    assert_eq!(ends(Some(914 * DAY)), "ready healthy | ");
    assert_eq!(
        ends(Some(914 * DAY - Duration::from_secs(1))),
        "degraded degraded | certificates degraded: a.example: expires in 13 days"
    );
    assert_eq!(ends(Some(898 * DAY)), "degraded degraded | certificates unhealthy: a.example: has expired 2 days ago");
    let why = "a.example: has not been obtained yet; a self-signed one stands in for it";
    assert_eq!(ends(None), format!("degraded degraded | certificates degraded: {why}"));
}

#[test]
fn alerts_and_modes_degrade() {
    let firing = |is_serious| {
        let alert = FiringAlert { name: "errors".to_owned(), summary: "7 %".to_owned(), is_serious };
        told(move |found: &mut Findings| found.alerts.push(alert))
    };
    assert_eq!(firing(true), "degraded degraded | alerts degraded: errors fires: 7 %");
    assert_eq!(firing(false), "ready healthy | ");
    let mode = |mode| {
        let standing = Standing { mode, since: DAY, by: By::Person("ada".to_owned()) };
        told(move |found: &mut Findings| found.mode = standing)
    };
    assert_eq!(mode(Mode::ReadOnly), "degraded degraded | mode degraded: read_only, chosen by ada");
    assert_eq!(mode(Mode::Maintenance), "maintenance degraded | mode degraded: maintenance, chosen by ada");
    assert!(!Word::Maintenance.is_ready());
}

#[test]
fn a_tree_names_its_worst_first_and_counts_the_rest() {
    let part = |index: u32| {
        let worse = if index == 6 { Status::Unhealthy } else { Status::Degraded };
        Part::judged(format!("p{index}"), worse, vec!["why".to_owned(), "more".to_owned()])
    };
    let whole = Part::of("whole", (0..8).map(part).collect());
    assert_eq!(whole.status, Status::Degraded);
    assert_eq!(whole.reasons, ["p6: why", "p0: why", "p1: why", "p2: why", "p3: why", "and 3 more"]);
    assert_eq!(whole.find("p7").unwrap().status, Status::Degraded);
    assert_eq!(whole.lines().lines().next(), Some("p0 degraded"));
    assert_eq!(whole.ailing().len(), 8);
    assert_eq!(whole.json()["parts"][6]["status"], "unhealthy");
}

#[test]
fn a_pulse_that_stops_is_noticed() {
    let base = time::now();
    let pulse = Pulse::new(3, base);
    assert_eq!(pulse.beat_at(base + Duration::from_secs(9)), Beat::Beating);
    assert_eq!(pulse.beat_at(base + Duration::from_secs(10)), Beat::Stuck(Duration::from_secs(10)));
    pulse.beat(base + Duration::from_secs(8));
    assert_eq!(pulse.beat_at(base + Duration::from_secs(17)), Beat::Beating);
    assert_eq!(pulse.beat_at(base + Duration::from_secs(20)), Beat::Stuck(Duration::from_secs(12)));
}

#[tokio::test]
async fn a_pulse_beats_until_its_worker_ends() {
    let local = tokio::task::LocalSet::new();
    let pulse = Arc::new(Pulse::new(0, time::now()));
    let beating = local.run_until(async { Arc::clone(&pulse).start() }).await;
    assert_eq!(pulse.beat_at(time::now()), Beat::Beating);
    drop(beating);
    assert_eq!(pulse.beat_at(time::now()), Beat::Ended);
}
