//! The key-value store behind `wit/kv.wit`, in memory: one namespace per plugin, shared by all workers, kept across swaps.
//!
//! Border: bytes and instants in, bytes out; it does not ask for the time. Invariants: each call is atomic; an expired
//! entry is never seen; the bytes counted are exactly those of the entries held, and never more than the quota of whoever
//! wrote last.

mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;

use crate::names::Name;
use crate::time::Instant;
use sweep::Sweep;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest value, in bytes. What is larger is a file, not a fact.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// What an entry counts beside its key and value: two pointers with lengths, an instant, its place in the table and the
/// allocator's share, so that the quota bounds memory even where all entries are tiny.
pub const ENTRY_BYTES: usize = 96;

/// Why nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The key or the value is over its limit.
    #[error("the key is longer than {KEY_BYTES_MAX} or the value longer than {VALUE_BYTES_MAX} bytes")]
    TooLarge,
    /// The quota is used up.
    #[error("the quota is used up")]
    Quota,
    /// `increment` found something that is not a decimal 64-bit number, or the sum is none.
    #[error("not a number, or the sum does not fit 64 bits")]
    NotANumber,
}

/// The namespaces of all plugins.
#[derive(Debug, Default)]
pub struct Store {
    namespaces: DashMap<Name, Arc<Shared>>,
}

impl Store {
    /// The namespace of a plugin. The same name gives the same entries; `quota_bytes` belongs to the handle, so that a
    /// changed limit holds from the next write of the new handle on and the old one keeps its own.
    pub fn namespace(&self, plugin: &Name, quota_bytes: usize) -> Arc<Namespace> {
        let shared = Arc::clone(&self.namespaces.entry(plugin.clone()).or_default());
        Arc::new(Namespace { shared, quota_bytes })
    }
}

/// One plugin's entries, with the quota under which they are written.
#[derive(Debug)]
pub struct Namespace {
    shared: Arc<Shared>,
    quota_bytes: usize,
}

#[derive(Debug, Default)]
struct Shared {
    entries: DashMap<Box<str>, Held>,
    /// The sum of [`cost`] over `entries`. Changed only while the entry's shard is locked, so that it never runs ahead
    /// of or behind the entry it stands for.
    bytes: AtomicUsize,
    sweep: Sweep,
}

#[derive(Debug)]
struct Held {
    value: Bytes,
    expires: Option<Instant>,
}

impl Held {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What a decision about one key changes, and what it tells the caller.
enum Change<T> {
    Keep(T),
    Put(Held, T),
}

impl Namespace {
    /// The value of a key.
    pub fn get(&self, key: &str, now: Instant) -> Option<Bytes> {
        let held = self.shared.entries.get(key)?;
        if !held.is_expired(now) {
            return Some(held.value.clone());
        }
        drop(held);
        self.shared.remove_expired(key, now);
        None
    }

    /// Sets a value. `ttl`: until it vanishes; none: it stays.
    pub fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>, now: Instant) -> Result<(), KvError> {
        check_sizes(key, &value)?;
        let expires = expiry(ttl, now);
        self.change(key, now, |_| Ok(Change::Put(Held { value: value.clone(), expires }, ())))
    }

    /// Removes a key. True where there was something.
    pub fn delete(&self, key: &str, now: Instant) -> bool {
        let mut was_live = false;
        let removed = self.shared.entries.remove_if(key, |key, held| {
            was_live = !held.is_expired(now);
            self.shared.release(cost(key, &held.value));
            true
        });
        removed.is_some() && was_live
    }

    /// Sets the value only where the present one equals `expected` (none: only where there is none). True where it did.
    pub fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<bool, KvError> {
        check_sizes(key, &value)?;
        let expires = expiry(ttl, now);
        self.change(key, now, |present| {
            if present.map(|held| &*held.value) != expected {
                return Ok(Change::Keep(false));
            }
            Ok(Change::Put(Held { value: value.clone(), expires }, true))
        })
    }

    /// Adds to a decimal number and gives the sum; absent counts as 0. `ttl` counts only where the number is created.
    pub fn increment(&self, key: &str, delta: i64, ttl: Option<Duration>, now: Instant) -> Result<i64, KvError> {
        check_sizes(key, &[])?;
        self.change(key, now, |present| {
            let (number, expires) = match present {
                Some(held) => (parse_number(&held.value)?, held.expires),
                None => (0, expiry(ttl, now)),
            };
            let sum = number.checked_add(delta).ok_or(KvError::NotANumber)?;
            Ok(Change::Put(Held { value: sum.to_string().into(), expires }, sum))
        })
    }

    /// The bytes that the entries count, expired ones that nobody met yet included.
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Decides about one key and carries it out; where the quota stands in the way, expired entries make room first.
    fn change<T>(
        &self,
        key: &str,
        now: Instant,
        decide: impl Fn(Option<&Held>) -> Result<Change<T>, KvError>,
    ) -> Result<T, KvError> {
        self.shared.sweep.earn();
        let near = self.quota_bytes - self.quota_bytes / 8;
        let swept = self.bytes() >= near && self.shared.sweep(now);
        match self.try_change(key, now, &decide) {
            Err(KvError::Quota) if !swept && self.shared.sweep(now) => self.try_change(key, now, &decide),
            done => done,
        }
    }

    /// Holds the key's shard from the decision to the change.
    fn try_change<T>(
        &self,
        key: &str,
        now: Instant,
        decide: impl Fn(Option<&Held>) -> Result<Change<T>, KvError>,
    ) -> Result<T, KvError> {
        let shared = &*self.shared;
        match shared.entries.entry(key.into()) {
            Place::Occupied(mut place) => {
                let held = place.get();
                let present = (!held.is_expired(now)).then_some(held);
                let before = cost(key, &held.value);
                match (decide(present)?, present) {
                    (Change::Put(new, told), _) => {
                        shared.exchange(before, cost(key, &new.value), self.quota_bytes)?;
                        shared.sweep.note(new.expires);
                        place.insert(new);
                        Ok(told)
                    }
                    (Change::Keep(told), Some(_)) => Ok(told),
                    (Change::Keep(told), None) => {
                        shared.release(before);
                        place.remove();
                        Ok(told)
                    }
                }
            }
            Place::Vacant(place) => match decide(None)? {
                Change::Put(new, told) => {
                    shared.exchange(0, cost(key, &new.value), self.quota_bytes)?;
                    shared.sweep.note(new.expires);
                    place.insert(new);
                    Ok(told)
                }
                Change::Keep(told) => Ok(told),
            },
        }
    }
}

impl Shared {
    /// Counts `after` instead of `before`. Shrinking always succeeds, even under a quota that has been lowered.
    fn exchange(&self, before: usize, after: usize, quota: usize) -> Result<(), KvError> {
        let grown = |bytes: usize| Some(bytes + after - before).filter(|sum| after <= before || *sum <= quota);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map(drop).map_err(|_| KvError::Quota)
    }

    fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn remove_expired(&self, key: &str, now: Instant) {
        self.entries.remove_if(key, |key, held| {
            let expired = held.is_expired(now);
            if expired {
                self.release(cost(key, &held.value));
            }
            expired
        });
    }

    /// Drops what has expired, if that may be anything and enough writes have paid for looking. True where it looked.
    fn sweep(&self, now: Instant) -> bool {
        self.sweep.run(now, self.entries.len(), |note| {
            self.entries.retain(|key, held| {
                let expired = held.is_expired(now);
                if expired {
                    self.release(cost(key, &held.value));
                } else {
                    note(held.expires);
                }
                !expired
            });
        })
    }
}

fn check_sizes(key: &str, value: &[u8]) -> Result<(), KvError> {
    if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX { Err(KvError::TooLarge) } else { Ok(()) }
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

/// A time to live beyond what the clock can count is none.
fn expiry(ttl: Option<Duration>, now: Instant) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

fn parse_number(value: &[u8]) -> Result<i64, KvError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(KvError::NotANumber)
}

#[cfg(test)]
mod tests;
