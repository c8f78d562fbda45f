//! How often passwords are tried: a bucket that fills with time. Pure.

/// A bucket that holds what one second fills.
#[derive(Debug)]
pub(crate) struct Attempts {
    per_second: u64,
    /// In thousandths of an attempt.
    left: u64,
    at_ms: u64,
}

impl Attempts {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, left: per_second * 1000, at_ms: 0 }
    }

    /// Whether one more may be tried.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.at_ms).min(1000);
        self.at_ms = self.at_ms.max(now_ms);
        self.left = (self.left + passed * self.per_second).min(self.per_second * 1000);
        let taken = self.left >= 1000;
        if taken {
            self.left -= 1000;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_as_many_as_it_may_and_not_more() {
        let mut attempts = Attempts::new(2);
        let mut take = |now| attempts.take(now);
        assert_eq!([take(5000), take(5000), take(5000)], [true, true, false]);
        assert_eq!([take(5499), take(5500), take(5500)], [false, true, false]);
        // A long rest is worth no more than a second, and a clock that goes back nothing.
        assert_eq!([take(99_000), take(99_000), take(99_000), take(1)], [true, true, false, false]);
    }
}
