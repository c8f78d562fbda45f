//! How much a client may do that costs us and brings nobody anything: token buckets.
//!
//! Pure. A client that uses them up is told to calm down and cut off.

use std::time::Duration;

use super::frame::Broken;
use crate::time::Instant;

/// A bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How much at once.
    pub burst: u32,
    /// How much comes back per second.
    pub per_second: u32,
}

/// What is left of an [`Allowance`].
#[derive(Debug)]
pub(super) struct Bucket {
    allowance: Allowance,
    left: u32,
    filled: Instant,
    over: &'static str,
}

impl Bucket {
    /// A full bucket, and what is said when it is empty.
    pub(super) fn new(allowance: Allowance, now: Instant, over: &'static str) -> Self {
        Self { allowance, left: allowance.burst, filled: now, over }
    }

    /// Gives back what the time since the last call brings.
    pub(super) fn refill(&mut self, now: Instant) {
        if self.left >= self.allowance.burst {
            self.filled = now;
            return;
        }
        let passed = now.saturating_duration_since(self.filled).min(Duration::from_secs(3600));
        let back = passed.as_micros() as u64 * u64::from(self.allowance.per_second) / 1_000_000;
        if back > 0 {
            self.filled = now;
            self.give(u32::try_from(back).unwrap_or(u32::MAX));
        }
    }

    /// Gives some back for something useful that happened.
    pub(super) fn give(&mut self, tokens: u32) {
        self.left = self.left.saturating_add(tokens).min(self.allowance.burst);
    }

    /// Takes one.
    pub(super) fn take(&mut self) -> Result<(), Broken> {
        self.left = self.left.checked_sub(1).ok_or(Broken::flood(self.over))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_with_time_and_not_beyond_the_burst() {
        let start = crate::time::now();
        let mut bucket = Bucket::new(Allowance { burst: 3, per_second: 10 }, start, "too many");
        let taken = |bucket: &mut Bucket| std::iter::from_fn(|| bucket.take().ok()).count();
        assert_eq!(taken(&mut bucket), 3);
        bucket.refill(start + Duration::from_millis(99));
        assert_eq!(taken(&mut bucket), 0);
        bucket.refill(start + Duration::from_millis(100));
        assert_eq!(taken(&mut bucket), 1);
        bucket.refill(start + Duration::from_secs(60));
        assert_eq!(taken(&mut bucket), 3);
        bucket.give(2);
        assert_eq!(taken(&mut bucket), 2);
    }
}
