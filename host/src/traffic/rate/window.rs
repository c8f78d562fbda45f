//! The sliding window: a log of what was used when, in which uses that lie close together are one entry.
//!
//! Invariant: in no window of time, wherever it begins, is more used than the limit. A use counts from the latest moment of its entry, so it may count
//! longer than it should, by a 250th of the window at most, and by nothing at all where the limit is small.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Decision, Micros, Settings};

/// Up to this limit each use has an entry of its own.
const EXACT_MAX: u64 = 250;
/// Above, an entry stands for this part of the window, so that a log has about as many entries at most (2 KiB); beyond 16 million uses in a
/// window one more for each 65 535 of them.
const ENTRIES: u64 = 250;

/// An entry: when its last use was, in the upper 48 bits, and how much was used, in the lower 16.
#[derive(Debug, Clone, Copy)]
struct Entry(u64);

/// What fits into an entry.
const COUNT_MAX: u64 = 0xffff;

impl Entry {
    const fn new(at: Micros, count: u64) -> Self {
        Self(at << 16 | count)
    }

    const fn at(self) -> Micros {
        self.0 >> 16
    }

    const fn count(self) -> u64 {
        self.0 & COUNT_MAX
    }
}

/// What was used lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// The sum of the entries.
    used: u64,
    /// When the newest entry began; none where the next use begins one.
    began: Option<Micros>,
}

impl Log {
    /// Uses `cost`, if there is room for it.
    pub(super) fn take(&mut self, settings: &Settings, now: Micros, cost: u64) -> Decision {
        let decision = self.look(settings, now, cost);
        if !decision.allowed || cost == 0 {
            return decision;
        }
        self.note(settings, now, cost);
        Decision { remaining: decision.remaining - cost, reset: self.reset(settings, now), ..decision }
    }

    /// Whether there is room for `cost`.
    pub(super) fn look(&mut self, settings: &Settings, now: Micros, cost: u64) -> Decision {
        self.forget(settings, now);
        let remaining = settings.requests.saturating_sub(self.used);
        let allowed = cost <= remaining;
        let retry_after = if allowed { Duration::ZERO } else { self.room_in(settings, now, cost) };
        Decision { allowed, limit: settings.requests, remaining, reset: self.reset(settings, now), retry_after }
    }

    /// Takes a use back: the latest.
    pub(super) fn give_back(&mut self, mut cost: u64) {
        while cost > 0 {
            let Some(last) = self.entries.back_mut() else { return };
            let some = cost.min(last.count());
            *last = Entry::new(last.at(), last.count() - some);
            self.used = self.used.saturating_sub(some);
            cost -= some;
            if last.count() == 0 {
                self.entries.pop_back();
                // When the one before began is not known any more, and it must not grow without end.
                self.began = None;
            }
        }
    }

    /// What part of the limit is used.
    pub(super) fn share_used(&mut self, settings: &Settings, now: Micros) -> f64 {
        self.forget(settings, now);
        self.used as f64 / settings.requests as f64
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Drops what is as old as the window is long.
    fn forget(&mut self, settings: &Settings, now: Micros) {
        let window = settings.window_us();
        while let Some(oldest) = self.entries.front()
            && oldest.at().saturating_add(window) <= now
        {
            self.used = self.used.saturating_sub(oldest.count());
            self.entries.pop_front();
        }
    }

    fn note(&mut self, settings: &Settings, now: Micros, mut cost: u64) {
        self.used += cost;
        // Another worker may have looked at the clock later and come here first.
        let now = self.entries.back().map_or(now, |last| now.max(last.at()));
        let grain = if settings.requests <= EXACT_MAX { 0 } else { settings.window_us() / ENTRIES };
        if let Some(last) = self.entries.back_mut()
            && self.began.is_some_and(|began| now.saturating_sub(began) <= grain)
            && last.count() + cost <= COUNT_MAX
        {
            *last = Entry::new(now, last.count() + cost);
            return;
        }
        self.began = Some(now);
        while cost > 0 {
            let some = cost.min(COUNT_MAX);
            self.entries.push_back(Entry::new(now, some));
            cost -= some;
        }
    }

    /// Until the oldest use leaves the window.
    fn reset(&self, settings: &Settings, now: Micros) -> Duration {
        self.entries.front().map_or(Duration::ZERO, |oldest| leaves(*oldest, settings, now))
    }

    /// Until so much has left the window that there is room; where there never is, the whole window.
    fn room_in(&self, settings: &Settings, now: Micros, cost: u64) -> Duration {
        let mut used = self.used;
        for entry in &self.entries {
            used = used.saturating_sub(entry.count());
            if used.saturating_add(cost) <= settings.requests {
                return leaves(*entry, settings, now);
            }
        }
        settings.window
    }
}

fn leaves(entry: Entry, settings: &Settings, now: Micros) -> Duration {
    Duration::from_micros(entry.at().saturating_add(settings.window_us()).saturating_sub(now))
}
