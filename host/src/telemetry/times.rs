//! How long things took: counts in fixed buckets that one thread writes and others read.
//!
//! The buckets are finer than what is told of them, so that quantiles are worth something. Counting takes no lock, no locked instruction
//! and no allocation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets in nanoseconds: 1 µs to 60 s, nine to a decade. What takes longer is in one bucket more.
pub const BOUNDS: [u64; 71] = bounds();

/// One per bound, and one for what is above all of them.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Where the search for the bucket begins, by the position of the highest bit.
const STARTS: [u8; 64] = starts();

#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
const fn bounds() -> [u64; 71] {
    let tenths = [10, 15, 20, 25, 30, 40, 50, 60, 80];
    let (mut bounds, mut index, mut unit) = ([0; 71], 0, 100);
    while index < bounds.len() {
        bounds[index] = tenths[index % 9] * unit;
        index += 1;
        if index % 9 == 0 {
            unit *= 10;
        }
    }
    bounds
}

#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
const fn starts() -> [u8; 64] {
    let (mut starts, mut bit) = ([0; 64], 0);
    while bit < 64 {
        let mut index = 0;
        while index < BOUNDS.len() && BOUNDS[index] < 1 << bit {
            index += 1;
        }
        // Of 71.
        starts[bit] = index as u8;
        bit += 1;
    }
    starts
}

/// The bucket of a duration.
#[inline]
pub fn bucket(nanoseconds: u64) -> usize {
    let highest = 63 - (nanoseconds | 1).leading_zeros() as usize;
    let mut index = usize::from(STARTS.get(highest).copied().unwrap_or_default());
    // Between two powers of two there are four bounds at most.
    while BOUNDS.get(index).is_some_and(|bound| *bound < nanoseconds) {
        index += 1;
    }
    index
}

/// A number that one thread adds to: a load and a store do what would otherwise need a locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Takes from it.
    #[inline]
    pub fn subtract(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    /// The number.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How long things took, as one thread has counted.
#[derive(Debug)]
pub struct Times {
    buckets: [Count; BUCKETS],
    nanoseconds: Count,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Count::default()), nanoseconds: Count::default() }
    }
}

impl Times {
    /// Counts one.
    #[inline]
    pub fn record(&self, took: Duration) {
        let nanoseconds = nanoseconds(took);
        if let Some(count) = self.buckets.get(bucket(nanoseconds)) {
            count.add(1);
        }
        self.nanoseconds.add(nanoseconds);
    }

    /// Adds what was counted to a sum.
    pub fn add_to(&self, sum: &mut Spread) {
        for (sum, count) in sum.buckets.iter_mut().zip(&self.buckets) {
            *sum += count.value();
        }
        sum.nanoseconds = sum.nanoseconds.wrapping_add(self.nanoseconds.value());
    }
}

/// A duration in nanoseconds; what is longer than 584 years is that.
#[inline]
pub fn nanoseconds(took: Duration) -> u64 {
    took.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(took.subsec_nanos()))
}

/// How long things took, as somebody has added it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// How many are in each bucket. Not cumulative.
    pub buckets: [u64; BUCKETS],
    /// All of them together.
    pub nanoseconds: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], nanoseconds: 0 }
    }
}

impl Spread {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// What came in since `earlier`, of which this is a later state.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (count, before) in since.buckets.iter_mut().zip(earlier.buckets) {
            *count = count.saturating_sub(before);
        }
        since.nanoseconds = since.nanoseconds.saturating_sub(earlier.nanoseconds);
        since
    }

    /// This and another together.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
    }

    /// The mean.
    pub fn mean(&self) -> Option<Duration> {
        self.nanoseconds.checked_div(self.count()).map(Duration::from_nanos)
    }

    /// What this part of them took at most, as if they lay evenly in their bucket. What is beyond the last bound counts as that bound.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let (rank, mut below) = (part * count as f64, 0.0);
        for (index, in_bucket) in self.buckets.iter().enumerate() {
            let in_bucket = *in_bucket as f64;
            if in_bucket > 0.0 && below + in_bucket >= rank {
                let low = index.checked_sub(1).and_then(|index| BOUNDS.get(index)).copied().unwrap_or_default() as f64;
                let high = BOUNDS.get(index).map_or(low, |bound| *bound as f64);
                let nanoseconds = low + (high - low) * ((rank - below) / in_bucket).clamp(0.0, 1.0);
                // Within the bounds, which are.
                return Some(Duration::from_nanos(nanoseconds as u64));
            }
            below += in_bucket;
        }
        None
    }

    /// How many took at most `bound`, which is one of [`BOUNDS`].
    pub fn at_most(&self, bound: u64) -> u64 {
        self.buckets.iter().take(BOUNDS.partition_point(|known| *known <= bound)).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_whose_bounds_hold_it() {
        assert_eq!((BOUNDS[0], BOUNDS[27], BOUNDS[70]), (1_000, 1_000_000, 60_000_000_000));
        assert!(BOUNDS.is_sorted());
        let around = BOUNDS.iter().flat_map(|bound| [bound - 1, *bound, bound + 1]);
        for nanoseconds in around.chain([0, 1, 2, u64::MAX]).chain((0..64).map(|bit| 1 << bit)) {
            let expected = BOUNDS.partition_point(|bound| *bound < nanoseconds);
            assert_eq!(bucket(nanoseconds), expected, "{nanoseconds}");
        }
    }

    #[test]
    fn quantiles_are_interpolated() {
        let times = Times::default();
        // Between 1 and 1.5 ms.
        (0..90).for_each(|_| times.record(Duration::from_micros(1200)));
        // Between 8 and 10 ms.
        (0..10).for_each(|_| times.record(Duration::from_millis(9)));
        let mut spread = Spread::default();
        times.add_to(&mut spread);
        let check = |part, micros| assert_eq!(spread.quantile(part), Some(Duration::from_micros(micros)), "{part}");
        check(0.0, 1000);
        check(0.45, 1250);
        check(0.9, 1500);
        check(0.95, 9000);
        check(1.0, 10_000);
        assert_eq!((spread.count(), spread.mean()), (100, Some(Duration::from_micros(1980))));
        assert_eq!((spread.at_most(1_000_000), spread.at_most(1_500_000), spread.at_most(10_000_000)), (0, 90, 100));
        let before = spread.clone();
        times.record(Duration::from_secs(3600));
        let mut after = Spread::default();
        times.add_to(&mut after);
        let since = after.since(&before);
        assert_eq!((since.count(), since.quantile(0.5)), (1, Some(Duration::from_secs(60))));
        assert_eq!((Spread::default().quantile(0.5), Spread::default().mean()), (None, None));
    }
}
