//! Who was refused most in the last minute: a sketch of bounded size, written when somebody is refused and never otherwise.
//!
//! Keys are known by a keyed hash: they may be secrets, so they are neither kept nor told. Each shard counts as Misra and Gries do: it knows
//! sixteen keys, and one that it does not know costs each of them one. So no key is said to have been refused more often than it was,
//! and what is missing is a seventeenth of the shard's refusals in two minutes at most.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::customer;
use crate::time::Instant;

/// Enough that workers seldom meet.
const SHARDS: usize = 8;
/// Keys that a shard knows. All together are about 10 KB.
const KEYS: usize = 16;
/// Parts of the minute that are forgotten one by one.
const SLICES: usize = 6;
/// How long such a part is.
const SLICE: Duration = Duration::from_secs(10);

/// Who was refused lately.
#[derive(Debug, Default)]
pub struct Refusals {
    hasher: RandomState,
    shards: [Mutex<Sketch>; SHARDS],
}

/// What is told of the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// All refusals.
    pub total: u64,
    /// The keys that were refused most, the first of them most.
    pub keys: Vec<Often>,
}

/// A key that was refused often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Often {
    /// What it is called.
    pub alias: Alias,
    /// How often, at least.
    pub count: u64,
    /// Where its requests came from.
    pub whence: Whence,
}

/// What a key is called as long as the process lives: nobody can tell the key from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias(pub u32);

/// Where requests came from. Addresses are those of customers ([`customer`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// All from here.
    Only(IpAddr),
    /// Three of four or more from here.
    Mostly(IpAddr),
    /// From here and there.
    Several,
}

impl Refused {
    /// These and others together, each of them about clients.
    pub fn with(mut self, other: Self) -> Self {
        self.total += other.total;
        for often in other.keys {
            match self.keys.iter_mut().find(|known| known.whence == often.whence) {
                Some(known) => known.count += often.count,
                None => self.keys.push(often),
            }
        }
        self.keys.sort_by_key(|often| std::cmp::Reverse(often.count));
        self
    }

    /// Without those of clients that `leaves` says so of; in all refusals they stay counted.
    pub fn without(mut self, leaves: impl Fn(IpAddr) -> bool) -> Self {
        self.keys.retain(|often| !often.whence.address().is_some_and(&leaves));
        self
    }
}

impl Refusals {
    /// Notes that a client was refused what it wanted for this key.
    pub fn note(&self, key: &[u8], client: IpAddr, now: Instant) {
        self.count(self.hasher.hash_one(key), customer(client), now);
    }

    /// Notes that a client was refused for being who it is.
    pub fn note_client(&self, client: IpAddr, now: Instant) {
        let client = customer(client);
        self.count(self.hasher.hash_one(client), client, now);
    }

    /// What is known of the last minute, at most so many keys.
    pub fn told(&self, keys_max: usize, now: Instant) -> Refused {
        let mut told = Refused::default();
        for shard in &self.shards {
            let mut sketch = lock(shard);
            sketch.forget(now);
            told.total += sketch.totals.iter().sum::<u64>();
            told.keys.extend(sketch.entries.iter().map(Entry::told));
        }
        told.keys.sort_by_key(|often| std::cmp::Reverse(often.count));
        told.keys.truncate(keys_max);
        told
    }

    fn count(&self, hash: u64, client: IpAddr, now: Instant) {
        // The upper half chooses the shard, the lower one is the alias.
        let Some(shard) = self.shards.get((hash >> 32) as usize % SHARDS) else { return };
        lock(shard).note(hash, client, now);
    }
}

fn lock(shard: &Mutex<Sketch>) -> MutexGuard<'_, Sketch> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one shard knows.
#[derive(Debug, Default)]
struct Sketch {
    /// When the first refusal was.
    began: Option<Instant>,
    /// The slice in which the last one was, counted from there.
    newest: u64,
    totals: [u64; SLICES],
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    counts: [u32; SLICES],
    /// The client that most requests come from, if there is one that more than half of them come from (Boyer and Moore).
    client: IpAddr,
    /// How many more come from it than from others.
    lead: u32,
}

impl Sketch {
    fn note(&mut self, hash: u64, client: IpAddr, now: Instant) {
        self.began.get_or_insert(now);
        self.forget(now);
        let slice = self.newest as usize % SLICES;
        if let Some(total) = self.totals.get_mut(slice) {
            *total += 1;
        }
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.hash == hash) {
            known.note(client, slice);
        } else if self.entries.len() < KEYS {
            let mut entry = Entry { hash, counts: [0; SLICES], client, lead: 0 };
            entry.note(client, slice);
            self.entries.push(entry);
        } else {
            self.entries.retain_mut(|entry| entry.pay(slice));
        }
    }

    /// Forgets what is over.
    fn forget(&mut self, now: Instant) {
        let Some(began) = self.began else { return };
        let slice = now.saturating_duration_since(began).as_secs() / SLICE.as_secs();
        let passed = slice.saturating_sub(self.newest).min(SLICES as u64);
        self.newest = self.newest.max(slice);
        // The one that begins stands where the one that is over stood.
        for over in (0..passed).map(|back| (self.newest - back) as usize % SLICES) {
            if let Some(total) = self.totals.get_mut(over) {
                *total = 0;
            }
            self.entries.retain_mut(|entry| entry.forget(over));
        }
    }
}

impl Entry {
    fn count(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn note(&mut self, client: IpAddr, slice: usize) {
        if let Some(count) = self.counts.get_mut(slice) {
            *count = count.saturating_add(1);
        }
        if self.client == client {
            self.lead = self.lead.saturating_add(1);
        } else if self.lead == 0 {
            (self.client, self.lead) = (client, 1);
        } else {
            self.lead -= 1;
        }
    }

    /// One less, of the oldest. Whether there is anything left.
    fn pay(&mut self, newest: usize) -> bool {
        for slice in (1..=SLICES).map(|ahead| (newest + ahead) % SLICES) {
            if let Some(count) = self.counts.get_mut(slice).filter(|count| **count > 0) {
                *count -= 1;
                break;
            }
        }
        let left = self.count();
        self.lead = self.lead.min(left);
        left > 0
    }

    /// Forgets a slice. Whether there is anything left.
    fn forget(&mut self, slice: usize) -> bool {
        let before = self.count();
        if let Some(count) = self.counts.get_mut(slice) {
            *count = 0;
        }
        let left = self.count();
        // As if they had been the same mixture all the time; below `lead`, which is a `u32`.
        self.lead = (u64::from(self.lead) * u64::from(left) / u64::from(before.max(1))) as u32;
        left > 0
    }

    fn told(&self) -> Often {
        let count = self.count();
        let whence = match self.lead {
            lead if lead == count => Whence::Only(self.client),
            // Three quarters are twice as many more than the rest as half of all.
            lead if lead >= count.div_ceil(2) => Whence::Mostly(self.client),
            _ => Whence::Several,
        };
        Often { alias: Alias(self.hash as u32), count: u64::from(count), whence }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:08x}", self.0)
    }
}

impl Whence {
    /// The address, if it is one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Only(address) | Self::Mostly(address) => Some(address),
            Self::Several => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::time;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_among_many_is_found_and_never_said_to_be_more() {
        let (refusals, now) = (Refusals::default(), time::now());
        // Each ninth is the one that is looked for, among a thousand that come by one after the other.
        for round in 0..9_000_u32 {
            match round % 9 {
                0 => refusals.note(b"flood", client(1), now),
                _ => refusals.note(&(round % 1_000).to_be_bytes(), client(2), now),
            }
        }
        let told = refusals.told(3, now);
        let most = told.keys[0];
        assert_eq!((told.total, told.keys.len(), most.whence), (9_000, 3, Whence::Only(client(1))));
        assert!((900..=1_000).contains(&most.count), "{most:?}");
        assert!(told.keys[1..].iter().all(|often| often.count <= 10), "{told:?}");
        assert!(refusals.shards.iter().all(|shard| lock(shard).entries.len() <= KEYS));
    }

    #[test]
    fn what_is_over_is_forgotten_part_by_part() {
        let (refusals, start) = (Refusals::default(), time::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let counts = |seconds| {
            let told = refusals.told(9, at(seconds));
            (told.total, told.keys.iter().map(|often| often.count).collect::<Vec<_>>())
        };
        (0..5).for_each(|_| refusals.note(b"a", client(1), at(0)));
        (0..3).for_each(|_| refusals.note(b"a", client(1), at(25)));
        assert_eq!(counts(25), (8, vec![8]));
        assert_eq!(counts(59), (8, vec![8]));
        assert_eq!(counts(60), (3, vec![3]));
        assert_eq!(counts(80), (0, vec![]));
        refusals.note(b"a", client(1), at(1_000));
        // Another worker may have looked at the clock earlier and come here later.
        refusals.note(b"a", client(1), at(990));
        assert_eq!(counts(1_000), (2, vec![2]));
        assert_eq!(Refusals::default().told(9, start), Refused::default());
    }

    #[test]
    fn a_key_is_told_by_where_it_comes_from_and_never_by_itself() {
        let now = time::now();
        let whence = |from: &[u8]| {
            let refusals = Refusals::default();
            from.iter().for_each(|last| refusals.note(b"secret", client(*last), now));
            refusals.told(1, now).keys[0].whence
        };
        assert_eq!(whence(&[1, 1, 1]), Whence::Only(client(1)));
        assert_eq!(whence(&[2, 1, 1, 1, 1, 1, 1]), Whence::Mostly(client(1)));
        assert_eq!(whence(&[1, 2, 1, 2, 1]), Whence::Several);
        assert_eq!(whence(&[1, 2, 3, 4]), Whence::Several);
        let refusals = Refusals::default();
        refusals.note_client("2001:db8::1".parse().unwrap(), now);
        refusals.note_client("2001:db8::2".parse().unwrap(), now);
        let told = refusals.told(2, now);
        let both = told.clone().with(told.clone()).with(Refused::default());
        assert_eq!((both.total, both.keys.len(), both.keys[0].count), (4, 1, 4));
        let without = both.without(|address| address.is_ipv6());
        assert_eq!((without.total, without.keys.len()), (4, 0));
        let told = told.keys;
        assert_eq!((told.len(), told[0].count), (1, 2), "neighbours are one customer");
        assert_eq!(told[0].whence, Whence::Only("2001:db8::".parse().unwrap()));
        assert_eq!((Alias(0x1f).to_string(), Whence::Several.address()), ("#0000001f".to_owned(), None));
    }
}
