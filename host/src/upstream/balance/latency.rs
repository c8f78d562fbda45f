//! How fast an endpoint answers: a moving average that believes bad news at once and good news slowly (peak EWMA).

use std::cell::Cell;
use std::time::Duration;

use crate::time::Instant;

/// In so much time an observation loses two thirds of its weight. As in linkerd: long enough to remember a pause for garbage
/// collection, short enough to forget it.
const MEMORY: Duration = Duration::from_secs(10);

/// The average of what was observed.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Latency {
    /// In seconds; meaningless until `at` is there.
    average: Cell<f64>,
    /// When it was observed last.
    at: Cell<Option<Instant>>,
}

impl Latency {
    /// An answer took so long.
    pub(in crate::upstream) fn observe(&self, took: Duration, now: Instant) {
        let (took, known) = (took.as_secs_f64(), self.estimate(now).unwrap_or(0.0));
        // What is slower than the average replaces it: who waits for proof has sent too much meanwhile.
        let kept = self.at.get().map_or(0.0, |at| fading(at, now));
        self.average.set(if took > known { took } else { self.average.get() * kept + took * (1.0 - kept) });
        self.at.set(Some(now));
    }

    /// The average in seconds; none before the first answer. It fades while nothing is observed, so that an endpoint that was slow
    /// is tried again.
    pub(in crate::upstream) fn estimate(&self, now: Instant) -> Option<f64> {
        self.at.get().map(|at| self.average.get() * fading(at, now))
    }
}

fn fading(at: Instant, now: Instant) -> f64 {
    (-now.saturating_duration_since(at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

/// Of two endpoints, each by estimate, requests under way and weight, whether the second costs less. One that has never answered is
/// worth one request, and no second before the first is answered.
pub(in crate::upstream) fn cheaper(first: (Option<f64>, usize, u32), second: (Option<f64>, usize, u32)) -> bool {
    let cost = |(estimate, busy, weight): (Option<f64>, usize, u32)| match estimate {
        Some(estimate) => estimate * (busy as f64 + 1.0) / f64::from(weight.max(1)),
        None if busy == 0 => 0.0,
        // Above any real latency, and still in order among themselves.
        None => 1e6 * busy as f64 / f64::from(weight.max(1)),
    };
    cost(second) < cost(first)
}
