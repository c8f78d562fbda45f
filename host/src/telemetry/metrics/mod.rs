//! Numbers that threads change without a lock, and how they are told and read.
//!
//! Border: who counts what under which name is decided elsewhere; [`Exposition`] is the only one that knows the formats.

mod exposition;
mod samples;

use std::sync::atomic::{AtomicU64, Ordering};

pub use exposition::{Bucket, Exposition, Format};
pub use samples::Sample;

/// A count of events.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A floating-point number that many may change at once.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds to it.
    pub fn add(&self, amount: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        // The closure always gives a value, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// Replaces it.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// A distribution over buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    /// One per bound, and one for what is above all of them. Not cumulative.
    buckets: Box<[Counter]>,
    sum: Number,
}

impl Histogram {
    /// `bounds`: the upper bounds of the buckets, ascending, without the infinite one.
    pub fn new(bounds: &[f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds: bounds.into(), buckets, sum: Number::default() }
    }

    /// How many are in each bucket; the last is what is above all bounds. Not cumulative.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().map(Counter::value)
    }

    /// The upper bounds of the buckets.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// Counts a value. NaN is ignored: it belongs into no bucket and would spoil the sum for ever.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let index = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.increment();
            self.sum.add(value);
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::value).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum.value()
    }
}

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows. Its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
    /// Always 1; what it tells is in its labels. Its name ends in `_info`.
    Info,
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_lose_nothing() {
        let (number, histogram) = (Number::default(), Histogram::new(&[1.0, 2.0]));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        number.add(0.5);
                        histogram.observe(2.0);
                    }
                });
            }
        });
        assert_eq!(number.value(), 20_000.0);
        assert_eq!((histogram.count(), histogram.sum()), (40_000, 80_000.0));
    }
}
