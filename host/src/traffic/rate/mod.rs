//! Rate limits: how much somebody has used lately, counted exactly and shared by all workers of the process.
//!
//! Two algorithms that decide purely (state, now, cost → [`Decision`]): `window` and `bucket`. `table` keeps one state per key; it is the
//! only part with locks, and only requests with a limit come by. Counts outlive a reload: they belong to the limit's name and not to
//! whoever uses it. Who is refused is noted beside them ([`Refusals`]), which costs nobody who is let through.

mod bucket;
mod table;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::names::Name;
use crate::telemetry::refusals::{Refusals, Refused};
use crate::time::{self, Instant};

use table::Table;

/// Keys that one limit remembers where nothing else is said. About 20 MB if all of them are in use with a small limit, 250 MB with a large one.
pub const KEYS_MAX: usize = 100_000;
/// Limits that are remembered although nobody uses them at the moment; a plugin may be without an instance for a while.
const TABLES_MAX: usize = 1_000;

/// Microseconds since the limits began. 48 bits of it are kept, which last for almost nine years.
pub(super) type Micros = u64;

/// How uses are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// At most so many within any window of time, wherever it begins.
    SlidingWindow,
    /// A bucket that fills steadily and from which each use takes; what is in it may be used at once.
    TokenBucket,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How uses are counted.
    pub algorithm: Algorithm,
    /// So many within the window; a bucket gets so many in that time. At least 1.
    pub requests: u64,
    /// The window; at least a millisecond.
    pub window: Duration,
    /// What a bucket holds at most; of no meaning to a window. At least 1.
    pub burst: u64,
}

impl Settings {
    /// The window, in microseconds.
    fn window_us(&self) -> Micros {
        u64::try_from(self.window.as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// How much may be used at once.
    pub fn quota(&self) -> u64 {
        match self.algorithm {
            Algorithm::SlidingWindow => self.requests,
            Algorithm::TokenBucket => self.burst,
        }
    }
}

/// What comes of asking for a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether there is room for it.
    pub allowed: bool,
    /// How much may be used at once.
    pub limit: u64,
    /// How much of that is left now.
    pub remaining: u64,
    /// Until there is more: until the oldest use leaves the window, or the bucket is full.
    pub reset: Duration,
    /// Until there is room for this use; zero where there is.
    pub retry_after: Duration,
}

/// All limits of the process.
#[derive(Debug)]
pub struct Limits {
    started: Instant,
    tables: Mutex<HashMap<Identity, (Arc<Counts>, Settings)>>,
    keys_max: usize,
}

/// A limit that had no room for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose limit it is.
    pub owner: Name,
    /// Its name.
    pub limit: String,
    /// For whom.
    pub refused: Refused,
}

/// What is counted of one limit.
#[derive(Debug)]
struct Counts {
    table: Table,
    refusals: Refusals,
    /// Uses that had no room since it was made.
    refused: AtomicU64,
}

impl Counts {
    fn new(keys_max: usize) -> Self {
        Self { table: Table::new(keys_max), refusals: Refusals::default(), refused: AtomicU64::new(0) }
    }
}

/// Which limits count together. The number of requests is not part of it: raising a limit must not forgive what has been used.
type Identity = (Name, Box<str>, Algorithm, Duration);

impl Default for Limits {
    fn default() -> Self {
        Self::new(KEYS_MAX)
    }
}

impl Limits {
    /// No limits yet; each of them will remember so many keys.
    pub fn new(keys_max: usize) -> Self {
        Self { started: time::now(), tables: Mutex::default(), keys_max }
    }

    /// A limit of this owner and name. The same owner, name, algorithm and window give the same counts.
    pub fn define(&self, owner: &Name, name: &str, settings: Settings) -> Limit {
        let identity = (owner.clone(), name.into(), settings.algorithm, settings.window);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.len() >= TABLES_MAX && !tables.contains_key(&identity) {
            tables.retain(|_, (counts, _)| Arc::strong_count(counts) > 1);
        }
        let (counts, newest) =
            tables.entry(identity).or_insert_with(|| (Arc::new(Counts::new(self.keys_max)), settings));
        *newest = settings;
        Limit { counts: Arc::clone(counts), settings, started: self.started }
    }

    /// Who was refused by each limit in the last minute, of every limit the most frequent keys. Limits that refused nobody are left out.
    pub fn refused(&self, keys_max: usize, now: Instant) -> Vec<Exceeded> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let told = tables.iter().map(|((owner, name, ..), (counts, _))| Exceeded {
            owner: owner.clone(),
            limit: name.to_string(),
            refused: counts.refusals.told(keys_max, now),
        });
        let mut told: Vec<_> = told.filter(|exceeded| exceeded.refused.total > 0).collect();
        told.sort_by(|one, other| (&one.owner, &one.limit).cmp(&(&other.owner, &other.limit)));
        told
    }

    /// Every limit that somebody uses, by owner and name; of those that it refused in the last minute the most frequent keys.
    pub fn list(&self, keys_max: usize, now: Instant) -> Vec<Listed> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // One is held by what was just taken from the table, one by the table itself.
        let used = tables.into_iter().filter(|(_, (counts, _))| Arc::strong_count(counts) > 2);
        let listed = used.map(|((owner, name, ..), (counts, settings))| Listed {
            owner,
            name,
            settings,
            keys: counts.table.len(),
            refused: counts.refused.load(Relaxed),
            lately: counts.refusals.told(keys_max, now),
        });
        let mut list: Vec<_> = listed.collect();
        list.sort_by(|one, other| (&one.owner, &one.name).cmp(&(&other.owner, &other.name)));
        list
    }
}

/// What operators are told of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose it is.
    pub owner: Name,
    /// Its name.
    pub name: Box<str>,
    /// How it counts, as it was defined last.
    pub settings: Settings,
    /// How many keys it remembers.
    pub keys: usize,
    /// How many uses had no room since it was defined first.
    pub refused: u64,
    /// For whom there was no room in the last minute.
    pub lately: Refused,
}

/// One limit, for whoever asks it.
#[derive(Debug, Clone)]
pub struct Limit {
    counts: Arc<Counts>,
    settings: Settings,
    started: Instant,
}

impl Limit {
    /// Uses up `cost` of what this key may, if there is room for all of it.
    pub fn take(&self, key: &[u8], cost: u64, now: Instant) -> Decision {
        let now = self.at(now);
        let taken = self.counts.table.with(key, &self.settings, now, |state| state.take(&self.settings, now, cost));
        // There is a state in any case: where it was missing it has been made.
        taken.unwrap_or_else(|| table::State::new(&self.settings, now).take(&self.settings, now, cost))
    }

    /// What [`Self::take`] would say, without using anything up.
    pub fn look(&self, key: &[u8], cost: u64, now: Instant) -> Decision {
        let now = self.at(now);
        let fresh = || table::State::new(&self.settings, now).look(&self.settings, now, cost);
        self.counts.table.known(key, |state| state.look(&self.settings, now, cost)).unwrap_or_else(fresh)
    }

    /// Takes a use back.
    pub fn give_back(&self, key: &[u8], cost: u64) {
        self.counts.table.known(key, |state| state.give_back(&self.settings, cost));
    }

    /// Notes that a use for this client had no room.
    pub fn refused(&self, key: &[u8], client: IpAddr, now: Instant) {
        self.counts.refused.fetch_add(1, Relaxed);
        self.counts.refusals.note(key, client, now);
    }

    /// How it counts.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many keys it remembers.
    pub fn keys(&self) -> usize {
        self.counts.table.len()
    }

    fn at(&self, now: Instant) -> Micros {
        u64::try_from(now.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }
}
