//! How often wrong passwords are tried: by each client, so that nobody locks others out, and by all together, so that many clients do not keep the
//! workers busy either.
//!
//! The gateway counts, over all workers and instances. Invariant: who knows the password uses up nothing.

use std::time::Duration;

use portcullis_sdk::limits::{self, Limit};
use portcullis_sdk::prelude::*;

/// What a client may try at once, before the time that passes counts. People mistype.
const AT_ONCE: u32 = 5;

/// Both bounds.
#[derive(Debug)]
pub(crate) struct Attempts {
    client: Limit,
    all: Limit,
}

/// Whether one more password may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    There,
    /// This client has tried too many.
    NoneForClient,
    /// All clients together have.
    NoneForAnybody,
}

impl Attempts {
    pub(crate) fn new(per_second: u32, per_second_of_all: u32) -> Result<Self> {
        let bucket = |name: &str, per_second: u32, burst: u32| {
            Limit::token_bucket(name, per_second.into(), Duration::from_secs(1), burst.into())
        };
        Ok(Self {
            client: bucket("client", per_second, per_second.max(AT_ONCE))?,
            all: bucket("all", per_second_of_all, per_second_of_all)?,
        })
    }

    /// Whether a client at this address may try one more. Takes nothing.
    pub(crate) fn room(&self, address: &str) -> Room {
        let wanted = vec![self.client.wanting(client(address), 0), self.all.wanting("", 0)];
        room(&limits::take_all(wanted).iter().map(|decision| decision.remaining).collect::<Vec<_>>())
    }

    /// Notes that a password was wrong, whose trying took so many times as long as usual.
    pub(crate) fn failed(&self, address: &str, weight: u32) {
        let _ = self.client.take(client(address), 1);
        // As much as there is: a hash that is slower than all that may be spent in a second must not be free.
        let left = u32::try_from(self.all.take("", 0).remaining).unwrap_or(u32::MAX);
        let _ = self.all.take("", weight.min(left));
    }
}

/// What counts as one client: an address, or a /64 of IPv6, of which everybody has a whole one.
fn client(address: &str) -> Vec<u8> {
    limits::network(address, 32, 64)
}

/// What remains of both bounds, as a decision.
fn room(remaining: &[u64]) -> Room {
    match remaining {
        [0, ..] => Room::NoneForClient,
        [_, 0] => Room::NoneForAnybody,
        _ => Room::There,
    }
}

/// How many times as long as usual a bcrypt hash takes: the cost stands in it (`$2b$12$…`), and each step doubles the time.
pub(crate) fn weight(stored: &str) -> u32 {
    /// What `portcullis hash` makes.
    const USUAL: u32 = 10;
    let cost = stored.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok()).unwrap_or(USUAL);
    1_u32.checked_shl(cost.saturating_sub(USUAL)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_room_left_is_told_whose_fault_it_is() {
        assert_eq!(room(&[1, 1]), Room::There);
        assert_eq!(room(&[0, 1]), Room::NoneForClient);
        assert_eq!(room(&[0, 0]), Room::NoneForClient);
        assert_eq!(room(&[5, 0]), Room::NoneForAnybody);
    }

    #[test]
    fn slow_hashes_weigh_more() {
        let check = |stored: &str, expected: u32| assert_eq!(weight(stored), expected, "{stored}");
        check("$2y$05$T9Cyr3ua", 1);
        check("$2b$10$T9Cyr3ua", 1);
        check("$2b$11$T9Cyr3ua", 2);
        check("$2b$12$T9Cyr3ua", 4);
        check("$2b$99$T9Cyr3ua", u32::MAX);
        check("", 1);
    }
}
