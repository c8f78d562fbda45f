//! What asking for several limits at once means.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::time;

/// Has room for so many, and may lose some of it between looking and taking.
struct Room {
    left: AtomicI64,
    lost: i64,
    refused: AtomicUsize,
}

impl Room {
    fn of(left: i64) -> Self {
        Self { left: AtomicI64::new(left), lost: 0, refused: AtomicUsize::default() }
    }

    fn decision(&self, allowed: bool) -> RateDecision {
        let remaining = u64::try_from(self.left.load(Ordering::Relaxed)).unwrap();
        RateDecision { allowed, limit: 9, remaining, reset: Duration::ZERO, retry_after: Duration::ZERO }
    }
}

impl RateLimit for Room {
    fn take(&self, _: &[u8], cost: u64, _: Instant) -> RateDecision {
        let cost = i64::try_from(cost).unwrap();
        self.left.fetch_sub(self.lost, Ordering::Relaxed);
        let allowed = self.left.load(Ordering::Relaxed) >= cost;
        self.left.fetch_sub(if allowed { cost } else { 0 }, Ordering::Relaxed);
        self.decision(allowed)
    }

    fn look(&self, _: &[u8], cost: u64, _: Instant) -> RateDecision {
        self.decision(self.left.load(Ordering::Relaxed) >= i64::try_from(cost).unwrap())
    }

    fn give_back(&self, _: &[u8], cost: u64) {
        self.left.fetch_add(i64::try_from(cost).unwrap(), Ordering::Relaxed);
    }

    fn refused(&self, _: &[u8], _: IpAddr, _: Instant) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

#[track_caller]
fn check(rooms: &[Room], allowed: &[bool], left: &[i64]) {
    let wanted: Vec<_> = rooms.iter().map(|room| Wanted { limit: room, key: b"k", cost: 2 }).collect();
    let decisions = take_all(&wanted, time::now());
    assert_eq!(decisions.iter().map(|decision| decision.allowed).collect::<Vec<_>>(), allowed);
    let now_left: Vec<_> = rooms.iter().map(|room| room.left.load(Ordering::Relaxed)).collect();
    assert_eq!(now_left, left);
    let told: Vec<_> = decisions.iter().map(|decision| i64::try_from(decision.remaining).unwrap()).collect();
    assert_eq!(told, left, "what is told is what is left");
    tell_refused(&wanted, &decisions, IpAddr::from([192, 0, 2, 1]), time::now());
    let knows: Vec<_> = rooms.iter().map(|room| room.refused.load(Ordering::Relaxed) == 0).collect();
    assert_eq!(knows, allowed, "who had no room is told of it, and nobody else");
}

#[test]
fn all_or_none_is_taken() {
    check(&[Room::of(2)], &[true], &[0]);
    check(&[Room::of(1)], &[false], &[1]);
    check(&[Room::of(5), Room::of(2)], &[true, true], &[3, 0]);
    check(&[Room::of(5), Room::of(1), Room::of(2)], &[true, false, true], &[5, 1, 2]);
    check(&[], &[], &[]);
}

#[test]
fn what_another_worker_was_faster_with_is_given_back() {
    let loses = Room { lost: 1, ..Room::of(2) };
    check(&[Room::of(5), loses, Room::of(2)], &[true, false, true], &[5, 1, 2]);
}
