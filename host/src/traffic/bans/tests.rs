//! Bans over time: who is banned when, for how long, and who never.

use super::*;

fn settings() -> Settings {
    Settings {
        after: 3,
        within: Duration::from_secs(60),
        lasts: Duration::from_secs(100),
        lasts_max: Duration::from_secs(300),
        statuses: vec![StatusCode::UNAUTHORIZED],
        never: ["10.0.0.0/8", "::1", "2001:db8:9::5/128"].map(|text| text.parse().unwrap()).into(),
        refusing: Refusing::Answer,
    }
}

fn bans() -> (Bans, Instant) {
    let bans = Bans::default();
    bans.adopt(Some(&Arc::new(settings())));
    (bans, time::now())
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn repeated_offences_are_a_ban_that_gets_longer() {
    let (bans, start) = bans();
    let at = |seconds| start + Duration::from_secs(seconds);
    let who = address("192.0.2.1");
    let offend = |from: u64, seconds: u64| {
        for second in 0..3 {
            assert_eq!(bans.left(who, at(from + second)), None, "{from} {second}");
            bans.offence(who, at(from + second));
        }
        assert_eq!(bans.left(who, at(from + 2)), Some(Duration::from_secs(seconds)));
        // What happens while it lasts makes no difference.
        bans.offence(who, at(from + 3));
        assert_eq!(bans.left(who, at(from + 2 + seconds)), None);
    };
    offend(0, 100);
    offend(190, 200);
    offend(500, 300);
    // As long as the last ban has been over, and it begins anew.
    offend(1_200, 100);
    assert_eq!(bans.left(address("192.0.2.2"), at(1)), None);
}

#[test]
fn offences_that_are_far_apart_are_none() {
    let (bans, start) = bans();
    for minute in 0..20 {
        bans.offence(address("192.0.2.1"), start + Duration::from_secs(minute * 31));
    }
    assert!(bans.list(start).is_empty());
}

#[test]
fn neighbours_count_together_and_some_are_never_banned() {
    let (bans, now) = bans();
    for low in 1..=3 {
        bans.offence(address(&format!("2001:db8::{low}")), now);
        bans.offence(address("10.1.1.1"), now);
        bans.offence(address("::ffff:192.0.2.9"), now);
    }
    assert!(bans.left(address("2001:db8::ffff"), now).is_some());
    assert!(bans.left(address("192.0.2.9"), now).is_some());
    assert_eq!(bans.left(address("2001:db8:0:1::1"), now), None);
    assert_eq!(bans.left(address("10.1.1.1"), now), None);
    // Where addresses count together, so do those that are never banned.
    for never in ["10.1.1.1", "::1", "2001:db8:9::5", "2001:db8:9::6"] {
        assert_eq!(bans.ban(address(never), Duration::from_secs(1), "", now), Err(BanError::Never), "{never}");
    }
}

#[test]
fn offences_at_the_same_moment_are_one_ban() {
    let (bans, now) = bans();
    for _ in 0..20 {
        bans.offence(address("192.0.2.1"), now);
    }
    let banned = |now: Instant| {
        bans.insert(address("192.0.2.1"), now, |known| match known {
            Some(ban) if now < ban.until => None,
            _ => Some(Ban::new(Duration::from_secs(1), ("", 0, 7), now)),
        })
    };
    assert_eq!(banned(now), Ok(None), "another worker has been faster");
    assert_eq!(bans.list(now)[0].times, 1);
    assert_eq!(banned(now + Duration::from_secs(100)), Ok(Some(7)));
}

#[test]
fn who_was_banned_is_forgotten_and_nobody_looks_for_him() {
    let (bans, now) = bans();
    let after = |seconds| now + Duration::from_secs(seconds);
    bans.ban(address("192.0.2.1"), Duration::from_secs(10), "", now).unwrap();
    bans.ban(address("192.0.2.2"), Duration::from_secs(100), "", now).unwrap();
    assert!(bans.left(address("192.0.2.2"), after(99)).is_some());
    assert!(bans.latest.load(Ordering::Relaxed) <= bans.micros(after(100)), "over when the last ban is");
    assert_eq!(bans.held.load(Ordering::Relaxed), 2);
    bans.ban(address("192.0.2.3"), Duration::from_secs(1), "", after(61)).unwrap();
    assert_eq!(bans.held.load(Ordering::Relaxed), 2, "the first is forgotten, twenty seconds after its ban began");
}

#[test]
fn bans_by_hand_are_listed_and_pardoned() {
    let (bans, now) = bans();
    bans.ban(address("192.0.2.1"), Duration::from_secs(5), "because", now).unwrap();
    bans.ban(address("192.0.2.2"), Duration::from_secs(9), &"ä".repeat(1_000), now).unwrap();
    let list = bans.list(now);
    assert_eq!(list.iter().map(|ban| ban.address.to_string()).collect::<Vec<_>>(), ["192.0.2.2", "192.0.2.1"]);
    assert_eq!((list[1].reason.as_str(), list[1].offences), ("because", 0));
    assert!(list[0].reason.len() <= REASON_BYTES_MAX + 1);
    assert!(bans.pardon(address("192.0.2.1"), now));
    assert!(!bans.pardon(address("192.0.2.1"), now));
    assert_eq!(bans.left(address("192.0.2.1"), now), None);
    bans.sweep(now + Duration::from_secs(18));
    assert_eq!(bans.held.load(Ordering::Relaxed), 0);
    // Without settings nobody is banned for offences, but by hand.
    bans.adopt(None);
    (0..9).for_each(|_| bans.offence(address("192.0.2.3"), now));
    assert!(bans.list(now).is_empty());
}
