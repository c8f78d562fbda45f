//! Quarantine: a plugin that fails again and again is not asked for a while.
//!
//! States: *closed* (asked) → after `quarantine_failures` failures in a row → *open* (not asked) → after the quarantine → *probing*
//! (asked; one failure opens it again for twice as long, one success closes it). Shared by all workers, without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::settings::Limits;
use crate::names::Hook;

/// A quarantine doubles at most this often.
const DOUBLINGS_MAX: u32 = 4;

/// Counts failures in a row, per hook: that `post-handler` works is no sign that `pre-handler` does. Times are since the process started, in nanoseconds; 0 means never.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: [AtomicU32; Hook::ALL.len()],
    openings: AtomicU32,
    open_until: AtomicU64,
}

impl Breaker {
    /// How much longer the plugin is not to be asked.
    pub(super) fn open_for(&self, now: u64) -> Option<Duration> {
        match self.open_until.load(Relaxed) {
            0 => None,
            until => until.checked_sub(now).filter(|left| *left > 0).map(Duration::from_nanos),
        }
    }

    /// The same, asking for the time only where it matters.
    pub(super) fn open_for_if_open(&self, now: impl FnOnce() -> u64) -> Option<Duration> {
        if self.open_until.load(Relaxed) == 0 { None } else { self.open_for(now()) }
    }

    /// A call went well.
    pub(super) fn succeeded(&self, hook: Hook) {
        // Loads first: a store would move the cache line between the workers on every call.
        if let Some(failures) = self.failures.get(hook as usize)
            && failures.load(Relaxed) != 0
        {
            failures.store(0, Relaxed);
            self.openings.store(0, Relaxed);
            self.open_until.store(0, Relaxed);
        }
    }

    /// A call failed. Gives the quarantine that begins with it, if one does.
    pub(super) fn failed(&self, hook: Hook, limits: &Limits, now: u64) -> Option<Duration> {
        let failures = self.failures.get(hook as usize)?.fetch_add(1, Relaxed).saturating_add(1);
        if failures < limits.quarantine_failures || self.open_for(now).is_some() {
            return None;
        }
        let doublings = self.openings.fetch_add(1, Relaxed).min(DOUBLINGS_MAX);
        let quarantine = limits.quarantine.saturating_mul(1 << doublings);
        let until = now.saturating_add(u64::try_from(quarantine.as_nanos()).unwrap_or(u64::MAX));
        self.open_until.store(until, Relaxed);
        Some(quarantine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOOK: Hook = Hook::PreHandler;

    #[test]
    fn opens_probes_doubles_and_closes() {
        let limits = Limits { quarantine_failures: 3, quarantine: Duration::from_secs(5), ..Limits::default() };
        let breaker = Breaker::default();
        assert_eq!(breaker.failed(HOOK, &limits, SECOND), None);
        assert_eq!(breaker.failed(HOOK, &limits, SECOND), None);
        breaker.succeeded(Hook::PostHandler);
        breaker.succeeded(HOOK);
        assert_eq!(breaker.failed(HOOK, &limits, SECOND), None, "a success in between starts the count again");
        assert_eq!(breaker.failed(HOOK, &limits, SECOND), None);
        assert_eq!(breaker.failed(HOOK, &limits, SECOND), Some(Duration::from_secs(5)));
        assert_eq!(breaker.open_for(2 * SECOND), Some(Duration::from_secs(4)));
        assert_eq!(breaker.failed(HOOK, &limits, 2 * SECOND), None, "calls that were under way do not prolong it");
        assert_eq!(breaker.open_for(6 * SECOND), None, "probing");
        assert_eq!(breaker.failed(HOOK, &limits, 7 * SECOND), Some(Duration::from_secs(10)));
        assert_eq!(breaker.open_for(18 * SECOND), None);
        breaker.succeeded(HOOK);
        assert_eq!(breaker.failed(HOOK, &limits, 20 * SECOND), None, "closed");
    }

    #[test]
    fn doubling_ends() {
        let limits = Limits { quarantine_failures: 1, quarantine: Duration::from_secs(1), ..Limits::default() };
        let breaker = Breaker::default();
        let mut now = SECOND;
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            last = breaker.failed(HOOK, &limits, now).unwrap_or_default();
            now += 100 * SECOND;
        }
        assert_eq!(last, Duration::from_secs(16));
    }
}
