//! Who of a fleet is asked: those that are well, the new ones a little, nobody twice; and everybody where nobody is well.

use std::rc::Rc;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};

use super::*;
use crate::upstream::balance::{Balance, Hash, Policy, Share, Sticky};
use crate::upstream::health::Up;
use crate::upstream::tests::{alice, request, settings};
use crate::upstream::{Endpoint, Upstreams};

const POLICIES: [Policy; 5] = [
    Policy::RoundRobin,
    Policy::LeastConnections,
    Policy::PowerOfTwo,
    Policy::Random,
    Policy::Hash(Hash { by: HashBy::Path, load_percent_max: None }),
];

fn shares(count: u8) -> Vec<Share> {
    (1..=count).map(|last| Share::of(Endpoint::Tcp { host: format!("10.0.0.{last}"), port: 80 })).collect()
}

fn of(policy: Policy, endpoints: Vec<Share>) -> Settings {
    Settings { endpoints, balance: Balance { policy, ..Balance::default() }, ..settings(&[]) }
}

fn fleet(settings: Settings) -> Rc<Fleet> {
    Upstreams::new(&[settings]).list[0].fleet()
}

/// How often each is chosen, for that many different paths.
fn chosen(fleet: &Fleet, count: usize, now: Instant) -> Vec<usize> {
    let mut counts = vec![0; fleet.members.len()];
    let client = alice();
    for number in 0..count {
        let request = request(Method::GET, &format!("/{number}"), &[]);
        counts[fleet.choose(Asking { client: &client, request: &request }, &[], now).unwrap()] += 1;
    }
    counts
}

fn turn(fleet: &Fleet, index: usize, up: Up, now: Instant) {
    fleet.members[index].standing.vital.turn(up, now);
}

#[test]
fn only_those_that_are_well_are_chosen_while_there_are_any() {
    for policy in POLICIES {
        let (fleet, now) = (fleet(of(policy.clone(), shares(3))), time::now());
        assert!(chosen(&fleet, 300, now).iter().all(|count| *count > 50), "{policy:?}");
        turn(&fleet, 1, Up::No, now);
        let counts = chosen(&fleet, 300, now);
        assert!(counts[1] == 0 && counts[0] > 90 && counts[2] > 90, "{policy:?} {counts:?}");
        turn(&fleet, 0, Up::No, now);
        turn(&fleet, 2, Up::No, now);
        assert!(chosen(&fleet, 300, now).iter().all(|count| *count > 50), "{policy:?}");
    }
}

#[test]
fn nobody_is_chosen_twice_for_a_request() {
    for policy in POLICIES {
        let (fleet, client, request) = (fleet(of(policy, shares(4))), alice(), request(Method::GET, "/", &[]));
        let (asking, mut tried) = (Asking { client: &client, request: &request }, Vec::new());
        turn(&fleet, 2, Up::No, time::now());
        while let Some(index) = fleet.choose(asking, &tried, time::now()) {
            assert!(!tried.contains(&index));
            tried.push(index);
        }
        // The one that is not well comes last.
        assert_eq!((tried.len(), tried[3]), (4, 2));
    }
}

#[test]
fn who_drains_is_chosen_only_by_those_who_were_there() {
    let sticky = Sticky {
        cookie: "at".to_owned(),
        max_age: None,
        path: "/".to_owned(),
        secure: false,
        http_only: false,
        same_site: None,
    };
    let mut endpoints = shares(2);
    endpoints[0].duty = Duty::Drains;
    let balance = Balance { sticky: Some(sticky), ..Balance::default() };
    for count in [1, 2] {
        let endpoints = endpoints[..count].to_vec();
        let fleet = fleet(Settings { balance: balance.clone(), ..of(Policy::RoundRobin, endpoints) });
        let (client, mut request, now) = (alice(), request(Method::GET, "/", &[]), time::now());
        let new = fleet.choose(Asking { client: &client, request: &request }, &[], now);
        assert_eq!(new, (count == 2).then_some(1));
        let cookie = format!("at={}", fleet.members[0].standing.digest);
        request.headers = HeaderMap::from_iter([(::http::header::COOKIE, cookie.parse().unwrap())]);
        assert_eq!(fleet.choose(Asking { client: &client, request: &request }, &[], now), Some(0));
    }
}

#[test]
fn who_is_new_or_has_recovered_starts_slowly() {
    let hour = Duration::from_secs(3600);
    let settings = |count| {
        let of = of(Policy::RoundRobin, shares(count));
        [Settings { balance: Balance { slow_start: hour, ..of.balance }, ..of }]
    };
    let before = Upstreams::new(&settings(2));
    assert_eq!(chosen(&before.list[0].fleet(), 100, time::now()), [50, 50]);
    let after = before.rebuilt(&settings(3));
    let (fleet, now) = (after.list[0].fleet(), time::now());
    assert!(chosen(&fleet, 200, now)[2] <= 1);
    let half = chosen(&fleet, 500, now + hour / 2);
    assert!((98..=102).contains(&half[2]), "{half:?}");
    assert_eq!(chosen(&fleet, 300, now + hour), [100, 100, 100]);
    // What checks found to be well again starts anew.
    let later = now + hour * 2;
    turn(&fleet, 0, Up::No, later);
    turn(&fleet, 0, Up::Yes, later);
    let counts = chosen(&fleet, 200, later);
    assert!(counts[0] <= 1 && counts[1] >= 99, "{counts:?}");
}

#[test]
fn checks_lift_an_ejection_that_came_before() {
    let ejection = Ejection { failures: 1, duration: Duration::from_secs(3600), ..Ejection::NEVER };
    let fleet = fleet(Settings { ejection, ..of(Policy::RoundRobin, shares(2)) });
    let (now, ms) = (time::now(), Duration::from_millis(1));
    turn(&fleet, 0, Up::Yes, now);
    let error = UpstreamError::TotalTimeout { timeout: ms };
    fleet.failed(0, &error, ms, now + 5 * ms);
    assert_eq!(chosen(&fleet, 4, now + 10 * ms), [0, 4]);
    turn(&fleet, 0, Up::No, now + 20 * ms);
    turn(&fleet, 0, Up::Yes, now + 30 * ms);
    assert_eq!(chosen(&fleet, 4, now + 40 * ms), [2, 2]);
    // An answer with 5xx does not, one without does.
    fleet.failed(0, &error, ms, now + 50 * ms);
    fleet.answered(0, StatusCode::BAD_GATEWAY, ms, now + 60 * ms);
    assert_eq!(chosen(&fleet, 4, now + 60 * ms), [0, 4]);
    fleet.answered(0, StatusCode::NOT_FOUND, ms, now + 70 * ms);
    assert_eq!(chosen(&fleet, 4, now + 70 * ms), [2, 2]);
}
