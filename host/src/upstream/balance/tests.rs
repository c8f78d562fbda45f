//! How requests spread: counts of many choices, and what is remembered of endpoints.

use std::cell::Cell;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::COOKIE;

use super::*;
use crate::time;

/// Candidates with these weights and nothing to do.
fn idle(weights: &[u32]) -> Vec<Candidate> {
    weights.iter().enumerate().map(|(index, weight)| Candidate { index, weight: *weight, busy: 0 }).collect()
}

fn tally(count: usize, of: usize, mut choose: impl FnMut(usize) -> usize) -> Vec<usize> {
    let mut counts = vec![0; of];
    (0..count).for_each(|number| counts[choose(number)] += 1);
    counts
}

/// Whether each got its part, within a few standard deviations of chance.
fn expect_parts(counts: &[usize], weights: &[u32]) {
    let (all, total): (usize, u32) = (counts.iter().sum(), weights.iter().sum());
    for (count, weight) in counts.iter().zip(weights) {
        let expected = all as f64 * f64::from(*weight) / f64::from(total);
        assert!((*count as f64 - expected).abs() < 5.0 * expected.sqrt(), "{counts:?} for {weights:?}");
    }
}

#[test]
fn turns_are_taken_by_weight_and_without_bursts() {
    let credits: Vec<_> = (0..3).map(|_| Cell::new(0)).collect();
    let order: Vec<_> = (0..7).map(|_| smooth(idle(&[5, 1, 1]).into_iter(), &credits).unwrap()).collect();
    assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    let equal: Vec<_> = (0..3).map(|_| Cell::new(0)).collect();
    let order: Vec<_> = (0..6).map(|_| smooth(idle(&[3, 3, 3]).into_iter(), &equal).unwrap()).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    // Where one is away, the others share its part evenly.
    let rest: Vec<_> = idle(&[3, 3, 3]).into_iter().filter(|candidate| candidate.index != 1).collect();
    assert_eq!(tally(10, 3, |_| smooth(rest.iter().copied(), &equal).unwrap()), [5, 0, 5]);
    assert_eq!(smooth(std::iter::empty(), &equal), None);
}

#[test]
fn the_least_busy_is_found_by_weight() {
    let check = |of: &[(u32, usize)], turn: usize, expected: usize| {
        let candidates =
            of.iter().enumerate().map(|(index, (weight, busy))| Candidate { index, weight: *weight, busy: *busy });
        assert_eq!(least_busy(candidates, turn), Some(expected), "{of:?}");
    };
    check(&[(1, 3), (1, 2), (1, 4)], 0, 1);
    check(&[(4, 3), (1, 1)], 0, 0);
    check(&[(4, 8), (1, 1)], 0, 1);
    // Of equals, the one whose turn it is.
    for turn in 0..3 {
        check(&[(1, 0), (1, 0), (1, 0)], turn, turn);
    }
    check(&[(1, 0), (1, 5), (1, 0)], 1, 2);
    assert_eq!(least_busy(std::iter::empty(), 0), None);
}

#[test]
fn chance_heeds_weights() {
    let (dice, weights) = (Dice::seeded(7), [10, 1, 5]);
    expect_parts(&tally(16_000, 3, |_| random(idle(&weights).into_iter(), &dice).unwrap()), &weights);
    assert_eq!(random(std::iter::empty(), &dice), None);
    for _ in 0..100 {
        let (first, second) = two(idle(&[1, 2, 3]).into_iter(), &dice).unwrap();
        assert_ne!(Some(first), second);
    }
    assert_eq!(two(idle(&[1]).into_iter(), &dice), Some((0, None)));
}

fn digest(index: usize) -> Digest {
    Digest::of(&["upstream", &format!("10.0.0.{index}:80")])
}

fn home(candidates: &[Candidate], key: usize) -> usize {
    rendezvous(candidates.iter().copied(), digest, Key::of(format!("user-{key}").as_bytes()), None).unwrap()
}

#[test]
fn keys_spread_by_weight_and_only_those_of_the_missing_move() {
    let weights = [1, 1, 2, 4];
    let all = idle(&weights);
    expect_parts(&tally(16_000, 4, |key| home(&all, key)), &weights);
    let without: Vec<_> = all.iter().copied().filter(|candidate| candidate.index != 2).collect();
    let mut moved = 0;
    for key in 0..4_000 {
        let (before, after) = (home(&all, key), home(&without, key));
        assert!(before == 2 || before == after, "{key} moved from {before} to {after}");
        moved += usize::from(before != after);
    }
    // A quarter of all had been there.
    assert!((850..1150).contains(&moved), "{moved}");
}

#[test]
fn a_key_stays_the_same_from_one_run_to_the_next() {
    assert_eq!(digest(1).to_string(), "c99af49024a7296c");
    assert_eq!((0..8).map(|key| home(&idle(&[1, 1, 1, 1]), key)).collect::<Vec<_>>(), [3, 0, 3, 0, 3, 3, 0, 0]);
}

#[test]
fn a_bound_sends_on_what_is_over_it() {
    let hot = Key::of(b"hot");
    let mut candidates = idle(&[1, 1, 1, 1]);
    let first = rendezvous(candidates.iter().copied(), digest, hot, Some(125)).unwrap();
    // Everybody asks for the same thing, and nothing of it ends.
    for _ in 0..400 {
        let index = rendezvous(candidates.iter().copied(), digest, hot, Some(125)).unwrap();
        candidates[index].busy += 1;
    }
    let busiest = candidates.iter().map(|candidate| candidate.busy).max().unwrap();
    assert_eq!(candidates[first].busy, busiest);
    assert!(busiest <= 126, "{candidates:?}");
}

#[test]
fn latency_believes_bad_news_at_once() {
    let (latency, start) = (Latency::default(), time::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    let near = |latency: &Latency, now, expected: f64| {
        let estimate = latency.estimate(now).unwrap();
        assert!((estimate - expected).abs() < expected * 0.01, "{estimate} is not {expected}");
    };
    assert_eq!(latency.estimate(start), None);
    latency.observe(Duration::from_millis(10), start);
    near(&latency, start, 0.010);
    latency.observe(Duration::from_millis(500), at(1));
    near(&latency, at(1), 0.5);
    // Good news is believed slowly: after one second a tenth of it.
    latency.observe(Duration::from_millis(10), at(1001));
    near(&latency, at(1001), 0.5 * 0.9048 + 0.010 * 0.0952);
    // What is not asked is forgiven.
    near(&latency, at(11_001), 0.4534 * 0.3679);
}

#[test]
fn the_cheaper_of_two_answers_faster_or_has_less_to_do() {
    let check = |first, second, expected| assert_eq!(cheaper(first, second), expected, "{first:?} {second:?}");
    check((Some(0.010), 0, 1), (Some(0.005), 0, 1), true);
    check((Some(0.010), 0, 1), (Some(0.005), 2, 1), false);
    check((Some(0.010), 0, 1), (Some(0.010), 0, 2), true);
    // One that has never answered gets one request, and no second before that is answered.
    check((Some(0.001), 0, 1), (None, 0, 1), true);
    check((Some(60.0), 9, 1), (None, 1, 1), false);
}

#[test]
fn a_slow_endpoint_gets_little_of_the_power_of_two() {
    let (dice, now) = (Dice::seeded(3), time::now());
    let latencies: Vec<_> = (0..3).map(|_| Latency::default()).collect();
    for (latency, millis) in latencies.iter().zip([5, 5, 50]) {
        latency.observe(Duration::from_millis(millis), now);
    }
    let counts = tally(3_000, 3, |_| {
        let (first, second) = two(idle(&[1, 1, 1]).into_iter(), &dice).unwrap();
        let cost = |index: usize| (latencies[index].estimate(now), 0, 1);
        second.filter(|second| cheaper(cost(first), cost(*second))).unwrap_or(first)
    });
    assert_eq!(counts[2], 0, "{counts:?}");
    assert!(counts[0] > 1200 && counts[1] > 1200, "{counts:?}");
}

#[test]
fn cookies_are_read_and_written() {
    let sticky = Sticky {
        cookie: "at".to_owned(),
        max_age: Some(Duration::from_secs(60)),
        path: "/".to_owned(),
        secure: true,
        http_only: true,
        same_site: Some(SameSite::Lax),
    };
    let digest = digest(1);
    let field = sticky.field(digest).unwrap();
    assert_eq!(field, format!("at={digest}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax").as_str());
    let plain = Sticky { max_age: None, secure: false, http_only: false, same_site: None, ..sticky.clone() };
    assert_eq!(plain.field(digest).unwrap(), format!("at={digest}; Path=/").as_str());
    let check = |lines: &[&str], expected: Option<Digest>| {
        let headers = HeaderMap::from_iter(lines.iter().map(|line| (COOKIE, line.parse().unwrap())));
        assert_eq!(sticky.wanted(&headers), expected, "{lines:?}");
    };
    check(&[&format!("a=b; at={digest}")], Some(digest));
    check(&["a=b", &format!("at=\"{digest}\"; c=d")], Some(digest));
    check(&["at=", "at=7"], None);
    check(&["cat=0123456789abcdef", "at=0123456789abcdeg"], None);
    check(&["at=+123456789abcdef"], None);
    check(&[], None);
}
