//! One fetch for many readers: who asks for what somebody already fetches waits for it.
//!
//! Across workers. A key whose response could not be stored is not waited for, for a while: its readers would come one after the other for
//! nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::watch;

/// Most keys that are remembered not to be waited for.
const PASSES_MAX: u64 = 100_000;

/// What is being fetched.
#[derive(Clone)]
pub(super) struct Flights {
    flights: Arc<DashMap<Box<str>, watch::Receiver<Landing>>>,
    /// Keys that are not waited for, and until when.
    passes: moka::sync::Cache<Box<str>, Instant>,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// It has not.
    Underway,
    /// What came is stored, or being stored.
    Stored,
    /// It did not come, or could not be stored.
    Empty,
    /// Who fetched went away before that was known.
    Left,
}

/// Whether to fetch.
#[derive(Debug)]
pub enum Boarding {
    /// Fetch, and tell the others.
    Lead(Lead),
    /// Somebody fetches.
    Wait(Wait),
    /// Fetch; nobody waits.
    Alone,
}

impl Flights {
    pub(super) fn new() -> Self {
        Self { flights: Arc::default(), passes: moka::sync::Cache::new(PASSES_MAX) }
    }

    /// Asks who fetches what is stored under a key.
    pub(super) fn board(&self, key: &str, now: Instant) -> Boarding {
        if self.passes.get(key).is_some_and(|until| now < until) {
            return Boarding::Alone;
        }
        match self.flights.entry(key.into()) {
            Entry::Occupied(flight) => Boarding::Wait(Wait(flight.get().clone())),
            Entry::Vacant(place) => {
                let (told, landing) = watch::channel(Landing::Underway);
                place.insert(landing);
                Boarding::Lead(Lead { flights: self.clone(), key: key.into(), told, landing: Landing::Left })
            }
        }
    }

    /// How many fetches there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.flights.len()
    }

    /// Whether somebody fetches this.
    pub(super) fn is_underway(&self, key: &str) -> bool {
        self.flights.contains_key(key)
    }
}

/// The duty to fetch. Dropped, it tells the others, and one of them has it.
pub struct Lead {
    flights: Flights,
    key: Box<str>,
    told: watch::Sender<Landing>,
    landing: Landing,
}

impl Lead {
    /// What came is stored.
    pub fn stored(mut self) {
        self.flights.passes.invalidate(&self.key);
        self.landing = Landing::Stored;
    }

    /// What came cannot be stored, and what comes until then will not be either.
    pub fn pass(mut self, until: Instant) {
        self.flights.passes.insert(self.key.clone(), until);
        self.landing = Landing::Empty;
    }

    /// Nothing came. The others need not try one after the other.
    pub fn failed(mut self) {
        self.landing = Landing::Empty;
    }
}

impl std::fmt::Debug for Lead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lead({:?})", self.key)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Before the others are told, so that none of them boards the flight that has landed.
        self.flights.flights.remove(&self.key);
        self.told.send_replace(self.landing);
    }
}

/// A fetch of somebody else.
#[derive(Debug)]
pub struct Wait(watch::Receiver<Landing>);

impl Wait {
    /// Waits until the fetch has ended, but no longer than this.
    pub async fn landed(mut self, longest: Duration) -> Landing {
        let landed = self.0.wait_for(|landing| *landing != Landing::Underway);
        match tokio::time::timeout(longest, landed).await {
            Ok(Ok(landing)) => *landing,
            Ok(Err(_)) | Err(_) => Landing::Empty,
        }
    }
}
