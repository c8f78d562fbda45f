//! One state per key, in shards with a lock each that is held for the time of one decision.
//!
//! Border: keys are known by 128 bits of a keyed hash, so they cost the same however long they are and nobody can choose two that collide.
//! Invariant: never more keys than were agreed on. A key that is as if it had never been used goes as soon as somebody comes by; where a shard
//! is full nevertheless, of sixteen keys the one that has used the smallest part of its limit is forgotten: it loses least, and a
//! flood of made-up keys does not wash out the counts of one that is at its limit.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bucket::Bucket;
use super::window::Log;
use super::{Algorithm, Decision, Micros, Settings};

/// Enough that workers seldom meet, few enough that a small table is not all locks.
const SHARDS: usize = 16;
/// Keys looked at for idle ones whenever a new one comes: more than come, so that idle ones do not gather.
const SWEPT: usize = 3;
/// Keys of which one is forgotten in a full shard.
const SAMPLE: usize = 16;

/// What is known of a key.
#[derive(Debug, Clone)]
pub(super) enum State {
    Window(Log),
    Bucket(Bucket),
}

impl State {
    /// Of a key that has used nothing.
    pub(super) fn new(settings: &Settings, now: Micros) -> Self {
        match settings.algorithm {
            Algorithm::SlidingWindow => Self::Window(Log::default()),
            Algorithm::TokenBucket => Self::Bucket(Bucket::new(settings, now)),
        }
    }

    pub(super) fn take(&mut self, settings: &Settings, now: Micros, cost: u64) -> Decision {
        match self {
            Self::Window(log) => log.take(settings, now, cost),
            Self::Bucket(bucket) => bucket.take(settings, now, cost),
        }
    }

    pub(super) fn look(&mut self, settings: &Settings, now: Micros, cost: u64) -> Decision {
        match self {
            Self::Window(log) => log.look(settings, now, cost),
            Self::Bucket(bucket) => bucket.look(settings, now, cost),
        }
    }

    pub(super) fn give_back(&mut self, settings: &Settings, cost: u64) {
        match self {
            Self::Window(log) => log.give_back(cost),
            Self::Bucket(bucket) => bucket.give_back(settings, cost),
        }
    }

    /// What part of the limit is used; 0: as if it had never been.
    fn share_used(&mut self, settings: &Settings, now: Micros) -> f64 {
        match self {
            Self::Window(log) => log.share_used(settings, now),
            Self::Bucket(bucket) => bucket.share_used(settings, now),
        }
    }
}

/// The states of one limit's keys.
#[derive(Debug)]
pub(super) struct Table {
    shards: [Mutex<Shard>; SHARDS],
    hashers: [RandomState; 2],
    shard_keys_max: usize,
}

impl Table {
    /// An empty one for so many keys.
    pub(super) fn new(keys_max: usize) -> Self {
        Self {
            shards: Default::default(),
            hashers: [RandomState::new(), RandomState::new()],
            shard_keys_max: keys_max.div_ceil(SHARDS).max(1),
        }
    }

    /// What `f` says about a key's state, which is made where there is none.
    pub(super) fn with<R>(
        &self,
        key: &[u8],
        settings: &Settings,
        now: Micros,
        f: impl FnOnce(&mut State) -> R,
    ) -> Option<R> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash)?;
        let place = match shard.index.get(&hash) {
            Some(place) => *place,
            None => {
                shard.make_room(settings, now, self.shard_keys_max);
                shard.add(hash, State::new(settings, now))
            }
        };
        shard.slots.get_mut(place).map(|slot| f(&mut slot.state))
    }

    /// What `f` says about the state of a key that has one.
    pub(super) fn known<R>(&self, key: &[u8], f: impl FnOnce(&mut State) -> R) -> Option<R> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash)?;
        let place = *shard.index.get(&hash)?;
        shard.slots.get_mut(place).map(|slot| f(&mut slot.state))
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).slots.len();
        self.shards.iter().map(len).sum()
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let [one, two] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        one << 64 | two
    }

    fn shard(&self, hash: u128) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get((hash >> 64) as usize % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug, Default)]
struct Shard {
    /// Where in `slots` a key's state is.
    index: HashMap<u128, usize, BuildHasherDefault<AsItIs>>,
    slots: Vec<Slot>,
    /// The slot that is looked at next for being idle.
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    hash: u128,
    state: State,
}

impl Shard {
    fn add(&mut self, hash: u128, state: State) -> usize {
        self.slots.push(Slot { hash, state });
        let place = self.slots.len() - 1;
        self.index.insert(hash, place);
        place
    }

    fn remove(&mut self, place: usize) {
        let gone = self.slots.swap_remove(place);
        self.index.remove(&gone.hash);
        if let Some(moved) = self.slots.get(place) {
            self.index.insert(moved.hash, place);
        }
    }

    /// Drops idle keys, and where that is not enough one that has used little.
    fn make_room(&mut self, settings: &Settings, now: Micros, keys_max: usize) {
        for _ in 0..SWEPT {
            let place = self.next();
            let Some(slot) = self.slots.get_mut(place) else { break };
            if slot.state.share_used(settings, now) <= 0.0 {
                self.remove(place);
            }
        }
        while self.slots.len() >= keys_max {
            let mut least: Option<(usize, f64)> = None;
            for _ in 0..SAMPLE.min(self.slots.len()) {
                let place = self.next();
                let Some(slot) = self.slots.get_mut(place) else { break };
                let used = slot.state.share_used(settings, now);
                if least.is_none_or(|(_, known)| used < known) {
                    least = Some((place, used));
                }
            }
            let Some((place, _)) = least else { break };
            self.remove(place);
        }
    }

    /// The slot whose turn it is.
    fn next(&mut self) -> usize {
        let place = if self.hand < self.slots.len() { self.hand } else { 0 };
        self.hand = place + 1;
        place
    }
}

/// What is hashed already needs no hashing.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
