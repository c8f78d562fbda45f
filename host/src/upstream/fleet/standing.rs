//! How one endpoint has done by one worker's requests: ejected for failing, ramped up after recovering.
//!
//! States: in rotation → ejected (after so many failures, or answers with 5xx, in a row) → in rotation again, where one more
//! failure ejects it for twice as long, and a success forgets all of it. Kept while the endpoint stays, whatever else a configuration changes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;

use super::super::balance::{Digest, Latency};
use super::super::health::{Site, Tally, Vital};
use super::super::pool::Pool;
use crate::time::Instant;

/// When an endpoint that fails is not asked for a while. Where all are ejected they are asked all the same: nobody knows that
/// they would fail again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Requests that it must fail one after the other, counted per worker; 0: never.
    pub failures: u32,
    /// Responses with a status of 500 and above that it must give one after the other; 0: never.
    pub errors: u32,
    /// For how long, the first time.
    pub duration: Duration,
    /// For how long at most, however often it fails again.
    pub duration_max: Duration,
    /// Of all endpoints of an upstream, how many percent may be ejected at once.
    pub percent_max: u32,
}

impl Ejection {
    /// Never.
    pub const NEVER: Self =
        Self { failures: 0, errors: 0, duration: Duration::ZERO, duration_max: Duration::ZERO, percent_max: 100 };
}

/// An endpoint's standing with a worker.
pub(in crate::upstream) struct Standing {
    pub(in crate::upstream) site: Site,
    pub(in crate::upstream) pool: Rc<Pool>,
    pub(in crate::upstream) vital: Arc<Vital>,
    pub(in crate::upstream) tally: Arc<Tally>,
    pub(in crate::upstream) latency: Latency,
    pub(in crate::upstream) digest: Digest,
    /// Requests failed one after the other.
    failures: Cell<u32>,
    /// Responses with 5xx one after the other.
    errors: Cell<u32>,
    /// Ejections since it last did well.
    ejections: Cell<u32>,
    ejected_at: Cell<Option<Instant>>,
    ejected_until: Cell<Option<Instant>>,
    /// When it came into rotation, if that was not from the beginning.
    risen: Cell<Option<Instant>>,
}

impl Standing {
    /// An endpoint that nothing is known of yet. `risen`: when it joined others that were there already.
    pub(super) fn new(
        site: Site,
        digest: Digest,
        pool: Rc<Pool>,
        vital: Arc<Vital>,
        tally: Arc<Tally>,
        risen: Option<Instant>,
    ) -> Self {
        Self {
            site,
            pool,
            vital,
            tally,
            latency: Latency::default(),
            digest,
            failures: Cell::new(0),
            errors: Cell::new(0),
            ejections: Cell::new(0),
            ejected_at: Cell::new(None),
            ejected_until: Cell::new(None),
            risen: Cell::new(risen),
        }
    }

    /// Whether it may be asked, as far as is known.
    #[inline]
    pub(in crate::upstream) fn is_well(&self, now: Instant) -> bool {
        self.vital.is_up() && !self.is_ejected(now)
    }

    /// Whether it is not asked at the moment because it failed.
    #[inline]
    pub(in crate::upstream) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.get().is_some_and(|until| now < until && !self.has_risen())
    }

    /// Whether active checks have found since its ejection that it has recovered: they know better.
    fn has_risen(&self) -> bool {
        let Some(risen) = self.vital.risen().filter(|risen| Some(*risen) > self.ejected_at.get()) else { return false };
        self.ejected_until.set(Some(risen));
        self.ejections.set(0);
        self.tally.ejected_until_ms.set(0);
        true
    }

    /// Its weight in hundredths: all of it, or the part that it has grown to.
    pub(in crate::upstream) fn weight(&self, full: u16, slow_start: Duration, now: Instant) -> u32 {
        let full = u32::from(full) * 100;
        if slow_start.is_zero() {
            return full;
        }
        match self.risen.get().max(self.vital.risen()).max(self.ejected_until.get()) {
            Some(risen) => ramped(full, now.saturating_duration_since(risen), slow_start),
            None => full,
        }
    }

    /// It has answered. Whether it is to be ejected all the same: for what it answers.
    pub(in crate::upstream) fn answered(&self, status: StatusCode, ejection: &Ejection) -> bool {
        self.failures.set(0);
        if status.is_server_error() {
            self.tally.failures.increment();
            self.vital.fails();
            let errors = self.errors.get().saturating_add(1);
            self.errors.set(errors);
            return ejection.errors > 0 && errors >= ejection.errors;
        }
        self.errors.set(0);
        self.vital.answers();
        if let Some(until) = self.ejected_until.take() {
            self.risen.set(Some(until));
            self.ejections.set(0);
            self.tally.ejected_until_ms.set(0);
        }
        false
    }

    /// It has failed once more. Whether it is to be ejected for that.
    pub(in crate::upstream) fn failed(&self, ejection: &Ejection) -> bool {
        self.tally.failures.increment();
        self.vital.fails();
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        ejection.failures > 0 && failures >= ejection.failures
    }

    /// From now on it is not asked. Gives for how long.
    pub(in crate::upstream) fn eject(&self, ejection: &Ejection, now: Instant) -> Duration {
        let duration = lengthened(ejection, self.ejections.get());
        self.ejections.set(self.ejections.get().saturating_add(1));
        let until = now.checked_add(duration);
        self.ejected_at.set(Some(now));
        self.ejected_until.set(until);
        self.tally.ejected_until_ms.set(until.map_or(0, |until| self.vital.millis(until)));
        duration
    }
}

/// The part of a weight that has grown in so long. Never nothing, so that it can recover at all.
fn ramped(full: u32, elapsed: Duration, slow_start: Duration) -> u32 {
    if elapsed >= slow_start {
        return full;
    }
    let part = f64::from(full) * elapsed.as_secs_f64() / slow_start.as_secs_f64();
    // Below `full`, which is a `u32`.
    (part as u32).max(1)
}

/// How long the ejection after so many others lasts.
fn lengthened(ejection: &Ejection, before: u32) -> Duration {
    let factor = 2_u32.checked_pow(before.min(31)).unwrap_or(u32::MAX);
    ejection.duration.saturating_mul(factor).min(ejection.duration_max.max(ejection.duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ejections_get_longer_up_to_a_bound() {
        let seconds = Duration::from_secs;
        let ejection =
            Ejection { failures: 1, errors: 0, duration: seconds(10), duration_max: seconds(60), percent_max: 100 };
        let check = |before, expected| assert_eq!(lengthened(&ejection, before), seconds(expected));
        check(0, 10);
        check(1, 20);
        check(2, 40);
        check(3, 60);
        check(u32::MAX, 60);
        assert_eq!(lengthened(&Ejection { duration_max: seconds(1), ..ejection }, 5), seconds(10));
    }

    #[test]
    fn a_weight_grows_linearly() {
        let check = |elapsed, expected| {
            assert_eq!(ramped(300, Duration::from_millis(elapsed), Duration::from_secs(1)), expected, "{elapsed}");
        };
        check(0, 1);
        check(100, 30);
        check(500, 150);
        check(999, 299);
        check(1000, 300);
        check(9000, 300);
    }
}
