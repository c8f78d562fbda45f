//! The token bucket: it fills steadily up to its burst, and each use takes from it.
//!
//! Invariant: in any stretch of time no more is used than the burst and what flows in meanwhile.

use std::time::Duration;

use super::{Decision, Micros, Settings};

/// What sums of fractions may be short of a whole token.
const EPSILON: f64 = 1e-6;

/// What is in a bucket.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    tokens: f64,
    /// When that was so.
    at: Micros,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(settings: &Settings, now: Micros) -> Self {
        Self { tokens: settings.burst as f64, at: now }
    }

    /// Uses `cost`, if it is there.
    pub(super) fn take(&mut self, settings: &Settings, now: Micros, cost: u64) -> Decision {
        let decision = self.look(settings, now, cost);
        if decision.allowed {
            self.tokens = (self.tokens - cost as f64).max(0.0);
        }
        Decision { remaining: self.whole(), reset: self.until(settings, settings.burst as f64), ..decision }
    }

    /// Whether `cost` is there.
    pub(super) fn look(&mut self, settings: &Settings, now: Micros, cost: u64) -> Decision {
        self.fill(settings, now);
        let allowed = self.tokens + EPSILON >= cost as f64;
        let retry_after = if allowed { Duration::ZERO } else { self.until(settings, cost as f64) };
        let reset = self.until(settings, settings.burst as f64);
        Decision { allowed, limit: settings.burst, remaining: self.whole(), reset, retry_after }
    }

    /// Puts a use back.
    pub(super) fn give_back(&mut self, settings: &Settings, cost: u64) {
        self.tokens = (self.tokens + cost as f64).min(settings.burst as f64);
    }

    /// What part of it is used.
    pub(super) fn share_used(&mut self, settings: &Settings, now: Micros) -> f64 {
        self.fill(settings, now);
        1.0 - self.tokens / settings.burst as f64
    }

    fn fill(&mut self, settings: &Settings, now: Micros) {
        // Another worker may have looked at the clock later and come here first.
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed as f64 * rate(settings)).min(settings.burst as f64);
    }

    fn whole(&self) -> u64 {
        (self.tokens + EPSILON) as u64
    }

    /// Until so many tokens are there, in whole microseconds that are not over too early.
    fn until(&self, settings: &Settings, tokens: f64) -> Duration {
        let missing = (tokens - self.tokens).max(0.0);
        Duration::from_micros((missing / rate(settings)).ceil() as u64)
    }
}

/// Tokens per microsecond.
fn rate(settings: &Settings) -> f64 {
    settings.requests as f64 / settings.window_us() as f64
}
