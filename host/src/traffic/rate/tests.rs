//! That limits hold in every window and give what they promise, for any sequence of uses; and that their memory is bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::table::State;
use super::*;

fn window(requests: u64, ms: u64) -> Settings {
    Settings { algorithm: Algorithm::SlidingWindow, requests, window: Duration::from_millis(ms), burst: 1 }
}

fn bucket(requests: u64, ms: u64, burst: u64) -> Settings {
    Settings { algorithm: Algorithm::TokenBucket, requests, window: Duration::from_millis(ms), burst }
}

/// What comes of uses at these times: when how much was allowed.
fn run(settings: &Settings, uses: &[(Micros, u64)]) -> Vec<(Micros, u64)> {
    let mut state = State::new(settings, 0);
    let took = |(now, cost): &(Micros, u64)| {
        let looked = state.look(settings, *now, *cost);
        let taken = state.take(settings, *now, *cost);
        assert_eq!((looked.allowed, looked.retry_after), (taken.allowed, taken.retry_after));
        assert!(taken.remaining <= taken.limit);
        if !taken.allowed && *cost <= settings.quota() {
            // What it says about the future is true: not a microsecond earlier, and no later.
            let wait = u64::try_from(taken.retry_after.as_micros()).unwrap();
            assert!(wait > 0);
            // But for the rounding of fractions of a token.
            let early = wait.saturating_sub(if settings.algorithm == Algorithm::TokenBucket { 2 } else { 1 });
            assert!(!state.clone().look(settings, now + early, *cost).allowed, "{settings:?} {wait}");
            assert!(state.clone().look(settings, now + wait, *cost).allowed, "{settings:?} {wait}");
        }
        taken.allowed.then_some((*now, *cost))
    };
    uses.iter().filter_map(took).collect()
}

/// Uses in order of time.
fn uses(gap_max: u64, cost_max: u64, count: usize) -> impl Strategy<Value = Vec<(Micros, u64)>> {
    prop::collection::vec((0..gap_max, 1..=cost_max), 1..count).prop_map(|gaps| {
        let mut now = 0;
        gaps.into_iter()
            .map(|(gap, cost)| {
                now += gap;
                (now, cost)
            })
            .collect()
    })
}

/// The most that was allowed in any stretch of this length.
fn most_within(allowed: &[(Micros, u64)], length: Micros) -> u64 {
    let (mut from, mut sum, mut most) = (0, 0, 0);
    for (at, cost) in allowed {
        sum += cost;
        while allowed[from].0 + length <= *at {
            sum -= allowed[from].1;
            from += 1;
        }
        most = most.max(sum);
    }
    most
}

proptest! {
    #[test]
    fn no_window_has_more_than_the_limit(
        requests in 1_u64..2_000,
        uses in uses(3_000, 5, 2_000),
    ) {
        let settings = window(requests, 100);
        let allowed = run_quietly(&settings, &uses);
        prop_assert!(most_within(&allowed, 100_000) <= requests);
    }

    #[test]
    fn a_window_refuses_only_what_does_not_fit(requests in 1_u64..250, uses in uses(3_000, 3, 500)) {
        // As an exact log would decide: small limits are exact.
        let settings = window(requests, 100);
        let mut allowed: Vec<(Micros, u64)> = Vec::new();
        for (now, cost) in &uses {
            let used: u64 = allowed.iter().filter(|(at, _)| at + 100_000 > *now).map(|(_, cost)| cost).sum();
            if used + cost <= requests {
                allowed.push((*now, *cost));
            }
        }
        prop_assert_eq!(run(&settings, &uses), allowed);
    }

    #[test]
    fn a_bucket_gives_its_burst_and_what_flows_in(
        requests in 1_u64..1_000,
        burst in 1_u64..100,
        uses in uses(3_000, 5, 1_000),
    ) {
        let settings = bucket(requests, 100, burst);
        let allowed = run(&settings, &uses);
        for (index, (from, _)) in allowed.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &allowed[index..] {
                sum += cost;
                let flowed = (at - from) as f64 * requests as f64 / 100_000.0;
                prop_assert!(sum as f64 <= burst as f64 + flowed + 0.001);
            }
        }
    }
}

/// Without the checks of the future, which cost a log with many entries too much.
fn run_quietly(settings: &Settings, uses: &[(Micros, u64)]) -> Vec<(Micros, u64)> {
    let mut state = State::new(settings, 0);
    uses.iter().filter(|(now, cost)| state.take(settings, *now, *cost).allowed).copied().collect()
}

/// How much is allowed in `ms` of one use every `step` microseconds.
fn saturated(settings: &Settings, ms: u64, step: u64) -> u64 {
    let uses: Vec<_> = (0..ms * 1000 / step).map(|index| (index * step, 1)).collect();
    run_quietly(settings, &uses).iter().map(|(_, cost)| cost).sum()
}

#[test]
fn under_saturation_a_limit_is_within_one_percent() {
    for requests in [1, 7, 100, 250, 251, 1_000, 10_000] {
        // Twenty windows, at many times the limit.
        let step = (100_000 / requests / 100).clamp(1, 100);
        let allowed = saturated(&window(requests, 100), 2_000, step) as f64;
        let expected = (requests * 20) as f64;
        assert!(allowed <= expected && allowed >= expected * 0.99, "{requests}: {allowed} of {expected}");
        let allowed = saturated(&bucket(requests, 100, 1), 2_000, step) as f64;
        assert!(allowed <= expected * 1.001 + 1.0 && allowed >= expected * 0.99, "{requests}: {allowed} of {expected}");
    }
}

#[test]
fn a_log_has_a_bounded_number_of_entries() {
    let settings = window(1_000_000, 1_000);
    let mut log = super::window::Log::default();
    for now in 0..1_500_000 {
        log.take(&settings, now, 1);
    }
    assert!(log.entries() <= 253, "{}", log.entries());
}

#[test]
fn what_is_given_back_does_not_make_older_uses_count_longer() {
    // An entry stands for a millisecond.
    let settings = window(1_000, 250);
    let mut log = super::window::Log::default();
    for now in [0, 2_000] {
        assert!(log.take(&settings, now, 1).allowed);
    }
    log.give_back(1);
    assert!(log.take(&settings, 2_500, 1).allowed);
    assert_eq!(log.look(&settings, 249_999, 0).remaining, 998);
    assert_eq!(log.look(&settings, 250_001, 0).remaining, 999);
}

#[test]
fn decisions_say_what_is_left_and_when_there_is_more() {
    let limits = Limits::default();
    let limit = limits.define(&"p".parse().unwrap(), "a", window(3, 1_000));
    let start = time::now();
    let ms = Duration::from_millis;
    let at = |after: u64| start + ms(after);
    let first = limit.take(b"k", 1, at(0));
    assert_eq!((first.allowed, first.limit, first.remaining, first.reset), (true, 3, 2, ms(1_000)));
    assert_eq!(limit.take(b"k", 2, at(100)).remaining, 0);
    let refused = limit.take(b"k", 1, at(400));
    assert_eq!((refused.allowed, refused.remaining, refused.retry_after), (false, 0, ms(600)));
    let larger = limit.take(b"k", 2, at(400));
    assert_eq!(larger.retry_after, ms(700), "one is free earlier, but not two");
    assert!(limit.look(b"other", 3, at(400)).allowed);
    assert!(!limit.look(b"other", 4, at(400)).allowed, "more than the limit never fits");
    assert!(limit.take(b"k", 1, at(1_000)).allowed);
    limit.give_back(b"k", 1);
    assert!(limit.take(b"k", 1, at(1_000)).allowed);
    assert!(!limit.take(b"k", 1, at(1_000)).allowed);
}

#[test]
fn a_changed_limit_goes_on_with_what_was_used() {
    let limits = Limits::default();
    let owner = "p".parse().unwrap();
    let now = time::now();
    assert!(limits.define(&owner, "a", window(2, 1_000)).take(b"k", 2, now).allowed);
    let raised = limits.define(&owner, "a", window(3, 1_000));
    assert_eq!(raised.take(b"k", 1, now).remaining, 0);
    assert!(!raised.take(b"k", 1, now).allowed);
    assert!(limits.define(&owner, "b", window(2, 1_000)).take(b"k", 2, now).allowed, "another name counts apart");
    assert!(limits.define(&"q".parse().unwrap(), "a", window(2, 1_000)).take(b"k", 2, now).allowed, "another owner");
    assert!(limits.define(&owner, "a", bucket(2, 1_000, 2)).take(b"k", 2, now).allowed, "another algorithm");
}

#[test]
fn keys_are_bounded_and_the_one_at_its_limit_is_not_washed_out() {
    let limits = Limits::new(1_600);
    let limit = limits.define(&"p".parse().unwrap(), "a", window(10, 60_000));
    let now = time::now();
    assert!(limit.take(b"greedy", 10, now).allowed);
    for number in 0..50_000_u32 {
        limit.take(&number.to_le_bytes(), 1, now);
    }
    assert!(limit.keys() <= 1_600 + 16, "{}", limit.keys());
    assert!(!limit.take(b"greedy", 1, now).allowed);
    // A minute later nobody has used anything, and whoever comes sweeps.
    for number in 0..2_000_u32 {
        limit.take(&number.to_be_bytes(), 1, now + Duration::from_secs(61 + u64::from(number)));
    }
    assert!(limit.keys() < 200, "{}", limit.keys());
}

#[test]
fn workers_share_a_limit_exactly() {
    let limits = Limits::default();
    for (name, settings) in
        [("a", window(10_000, 60_000)), ("b", bucket(1, 86_400_000, 10_000)), ("c", window(200, 60_000))]
    {
        let limit = Arc::new(limits.define(&"p".parse().unwrap(), name, settings));
        let now = time::now();
        let take = |limit: Arc<Limit>| move || (0..20_000).filter(|_| limit.take(b"k", 1, now).allowed).count() as u64;
        let workers: Vec<_> = (0..4).map(|_| thread::spawn(take(Arc::clone(&limit)))).collect();
        let allowed: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert_eq!(allowed, settings.quota());
    }
}

#[test]
fn who_is_refused_is_known_by_limit() {
    let (limits, now) = (Limits::new(100), time::now());
    let settings =
        Settings { algorithm: Algorithm::SlidingWindow, requests: 1, window: Duration::from_secs(60), burst: 1 };
    let define =
        |owner: &str, name, requests| limits.define(&owner.parse().unwrap(), name, Settings { requests, ..settings });
    let (quiet, one, other) = (define("a", "quiet", 1), define("b", "x", 1), define("a", "x", 1));
    assert!(quiet.take(b"k", 1, now).allowed && limits.refused(9, now).is_empty());
    let client = std::net::IpAddr::from([192, 0, 2, 1]);
    one.refused(b"k", client, now);
    other.refused(b"k", client, now);
    // A reload that changes the limit goes on counting.
    define("a", "x", 5).refused(b"k", client, now);
    let told: Vec<_> =
        limits.refused(9, now).into_iter().map(|of| (of.owner.to_string(), of.limit, of.refused)).collect();
    let names: Vec<_> = told.iter().map(|(owner, limit, refused)| (&**owner, &**limit, refused.total)).collect();
    assert_eq!(names, [("a", "x", 2), ("b", "x", 1)]);
    assert_ne!(told[0].2.keys[0].alias, told[1].2.keys[0].alias, "each limit has its own aliases");
    assert!(limits.refused(9, now + Duration::from_secs(60)).is_empty());
}

#[test]
fn operators_are_told_of_limits_that_somebody_uses() {
    let limits = Limits::default();
    let (owner, now, client) = ("p".parse().unwrap(), time::now(), "192.0.2.1".parse().unwrap());
    let limit = limits.define(&owner, "a", window(2, 1_000));
    assert!(limit.take(b"k", 2, now).allowed);
    limit.refused(b"k", client, now);
    let raised = limits.define(&owner, "a", window(3, 1_000));
    let [told] = limits.list(1, now).try_into().unwrap();
    assert_eq!((&*told.name, told.settings.requests, told.keys, told.refused), ("a", 3, 1, 1));
    assert_eq!((told.lately.total, told.lately.keys.len()), (1, 1));
    drop((limit, raised));
    assert_eq!(limits.list(1, now), []);
}
