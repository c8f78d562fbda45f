//! One request per bucket of a histogram that can be looked up: at most one a second is noted, so that it costs nearly nothing.
//!
//! The worker that writes never waits: where a reader is looking, nothing is noted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;

use super::BOUNDS;
use crate::exchange::TraceId;

/// A request that is an example for its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemplar {
    /// Its id.
    pub request: HeaderValue,
    /// The trace that it belongs to, if that is kept.
    pub trace: Option<TraceId>,
    /// How long it took.
    pub took: Duration,
    /// When it ended, since the Unix epoch.
    pub at: Duration,
}

#[derive(Debug, Default)]
struct Slot {
    /// The second in which it was written last, counted from 1.
    second: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

/// One per bucket, as one worker has noted them.
#[derive(Debug, Default)]
pub(super) struct Exemplars([Slot; BOUNDS.len() + 1]);

impl Exemplars {
    /// Whether a request that took so long and ended `at` is to be noted: for its bucket this is another second.
    #[inline]
    pub(super) fn wants(&self, took: Duration, at: Duration) -> bool {
        self.slot(took).is_some_and(|slot| slot.second.load(Relaxed) != at.as_secs())
    }

    /// Notes a request.
    pub(super) fn note(&self, exemplar: Exemplar) {
        let Some(slot) = self.slot(exemplar.took) else { return };
        slot.second.store(exemplar.at.as_secs(), Relaxed);
        if let Ok(mut place) = slot.exemplar.try_lock() {
            *place = Some(exemplar);
        }
    }

    /// The newer ones of these and those, bucket by bucket.
    pub(super) fn add_to(&self, all: &mut [Option<Exemplar>; BOUNDS.len() + 1]) {
        for (slot, newest) in self.0.iter().zip(all) {
            let known = slot.exemplar.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if known.as_ref().map(|known| known.at) > newest.as_ref().map(|newest| newest.at) {
                *newest = known;
            }
        }
    }

    #[inline]
    fn slot(&self, took: Duration) -> Option<&Slot> {
        self.0.get(BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len()))
    }
}
