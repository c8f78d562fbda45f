//! Slows down who tries tokens out: the answers to wrong ones come ever later, and after many of them the address is refused for a while.
//! What is right is let in all the same: addresses are shared, and nobody guesses a token of the least length that is allowed.
//!
//! Pure: the time comes in as a value. Bounded: it remembers so many addresses, of IPv6 the /64 that one customer is given (RFC 6177).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::http::customer;
use crate::time::Instant;

/// Wrong tokens in a row that are a slip of the hand.
const SLIPS: u32 = 3;
/// How long the answer to the next one takes; twice as long with each.
const DELAY: Duration = Duration::from_millis(50);
/// How long it takes at most.
const DELAY_MAX: Duration = Duration::from_secs(1);
/// Wrong tokens in a row after which an address is refused,
const FAILURES_MAX: u32 = 20;
/// for so long.
const LOCKED: Duration = Duration::from_secs(30);
/// After so long without a wrong one they are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Most addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Who tried how often.
#[derive(Debug, Default)]
pub(super) struct Throttle(HashMap<IpAddr, Tries>);

#[derive(Debug)]
struct Tries {
    wrong: u32,
    last: Instant,
}

impl Throttle {
    /// How much longer an address is refused.
    pub(super) fn locked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let tries = self.0.get(&customer(address)).filter(|tries| tries.wrong >= FAILURES_MAX)?;
        let left = LOCKED.saturating_sub(now.saturating_duration_since(tries.last));
        (!left.is_zero()).then_some(left)
    }

    /// Notes a wrong token. Gives how long the answer is to take.
    pub(super) fn failed(&mut self, address: IpAddr, now: Instant) -> Duration {
        if self.0.len() >= ADDRESSES_MAX {
            self.0.retain(|_, tries| now.saturating_duration_since(tries.last) < FORGOTTEN);
            if self.0.len() >= ADDRESSES_MAX
                && let Some(oldest) = self.0.iter().min_by_key(|(_, tries)| tries.last).map(|(address, _)| *address)
            {
                self.0.remove(&oldest);
            }
        }
        let tries = self.0.entry(customer(address)).or_insert(Tries { wrong: 0, last: now });
        let since = now.saturating_duration_since(tries.last);
        if since >= FORGOTTEN {
            tries.wrong = 0;
        } else if tries.wrong >= FAILURES_MAX && since >= LOCKED {
            // A few more before it is locked again.
            tries.wrong = FAILURES_MAX - SLIPS;
        }
        tries.wrong += 1;
        tries.last = now;
        match tries.wrong.checked_sub(SLIPS + 1) {
            None => Duration::ZERO,
            Some(doubled) => (DELAY * 2_u32.saturating_pow(doubled.min(10))).min(DELAY_MAX),
        }
    }

    /// Forgets an address that had a right one.
    pub(super) fn succeeded(&mut self, address: IpAddr) {
        self.0.remove(&customer(address));
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn who_tries_tokens_out_waits_ever_longer_and_is_then_not_heard() {
        let (mut throttle, start) = (Throttle::default(), crate::time::now());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let delays: Vec<u128> = (0..20).map(|_| throttle.failed(one, start).as_millis()).collect();
        assert_eq!(delays[..9], [0, 0, 0, 50, 100, 200, 400, 800, 1000], "{delays:?}");
        assert_eq!(throttle.locked(one, start), Some(LOCKED));
        assert_eq!(throttle.locked(other, start), None);
        assert_eq!(throttle.locked(one, start + LOCKED), None);
        for _ in 0..3 {
            throttle.failed(one, start + LOCKED);
        }
        assert!(throttle.locked(one, start + LOCKED).is_some());
        throttle.succeeded(one);
        assert_eq!(throttle.locked(one, start + LOCKED), None);
    }

    #[test]
    fn as_many_addresses_as_there_are_are_not_remembered() {
        let (mut throttle, now) = (Throttle::default(), crate::time::now());
        for number in 0..2 * ADDRESSES_MAX as u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(throttle.0.len() <= ADDRESSES_MAX);
        throttle.failed("2001:db8::1".parse().unwrap_or(IpAddr::from([0; 4])), now);
        assert_eq!(throttle.failed("2001:db8::2".parse().unwrap_or(IpAddr::from([0; 4])), now), Duration::ZERO);
    }
}
