//! When it pays to look for expired entries: only if one may have expired, and only as often as writes have paid for it.
//!
//! Border: it counts and decides; the entries belong to the parent. Invariant: `earliest` is never later than the first
//! expiry among the entries, except while a sweep is under way.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};

use crate::time::Instant;

/// How many entries each write pays for. Looking at one takes some 20 ns, so that writes near a full quota cost about
/// 1 µs more, whatever is stored.
const ENTRIES_PER_WRITE: usize = 64;
/// So few entries are looked at without being paid for: small namespaces then never refuse a write because of what has
/// already expired.
const ENTRIES_FREE: usize = 1024;

#[derive(Debug)]
pub(super) struct Sweep {
    /// From where `earliest` counts: the first instant that was noted.
    origin: OnceLock<Instant>,
    /// Nanoseconds from `origin`; the maximum where nothing expires.
    earliest: AtomicU64,
    writes: AtomicUsize,
    running: Mutex<()>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            origin: OnceLock::new(),
            earliest: AtomicU64::new(u64::MAX),
            writes: AtomicUsize::new(0),
            running: Mutex::new(()),
        }
    }
}

impl Sweep {
    /// A write happens.
    pub(super) fn earn(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry expires then. To be called while its shard is locked, before it can be seen by a sweep.
    pub(super) fn note(&self, expires: Option<Instant>) {
        if let Some(expires) = expires {
            self.earliest.fetch_min(self.nanoseconds(expires), Ordering::SeqCst);
        }
    }

    /// Runs `look`, which drops what has expired and notes what has not. True where it did.
    pub(super) fn run(&self, now: Instant, entries: usize, look: impl FnOnce(&dyn Fn(Option<Instant>))) -> bool {
        if self.nanoseconds(now) < self.earliest.load(Ordering::SeqCst) {
            return false;
        }
        let paid = self.writes.load(Ordering::Relaxed).saturating_mul(ENTRIES_PER_WRITE);
        if entries > ENTRIES_FREE && paid < entries {
            return false;
        }
        // One at a time; the others go on without.
        let _running = match self.running.try_lock() {
            Ok(running) => running,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.writes.store(0, Ordering::Relaxed);
        self.earliest.store(u64::MAX, Ordering::SeqCst);
        look(&|expires| self.note(expires));
        true
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        let origin = *self.origin.get_or_init(|| at);
        u64::try_from(at.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX)
    }
}
