//! How many requests may be sent once more: a part of those that come, and a few per second however few come.
//!
//! Without it an upstream that fails under its load gets several times that load. Counted in hundredths of a retry.

use std::cell::Cell;

use crate::time::Instant;

/// How many retries there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSettings {
    /// In percent of the requests.
    pub percent: u32,
    /// Per second, however few requests there are. Counted per worker.
    pub per_second_min: u32,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { percent: 20, per_second_min: 10 }
    }
}

/// What of a budget is left.
#[derive(Debug)]
pub(in crate::upstream) struct Budget {
    left: Cell<u64>,
    filled: Cell<Instant>,
}

/// Retries that can be saved up from requests: what a moment's trouble may use at once.
const SAVED_MAX: u64 = 100;
/// Seconds for which the minimum can be saved up.
const SECONDS_MAX: u64 = 10;

impl Budget {
    /// The budget at the start: what a second brings.
    pub(in crate::upstream) fn new(settings: BudgetSettings, now: Instant) -> Self {
        Self { left: Cell::new(u64::from(settings.per_second_min) * 100), filled: Cell::new(now) }
    }

    /// A request came.
    #[inline]
    pub(in crate::upstream) fn deposit(&self, settings: BudgetSettings) {
        let left = self.left.get() + u64::from(settings.percent);
        self.left.set(left.min(most(settings)));
    }

    /// Takes one retry out, if there is one.
    pub(in crate::upstream) fn withdraw(&self, settings: BudgetSettings, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled.get()).as_millis();
        let brought = elapsed * u128::from(settings.per_second_min) / 10;
        if brought > 0 {
            self.filled.set(now);
        }
        let brought = u64::try_from(brought).unwrap_or(u64::MAX);
        let left = self.left.get().saturating_add(brought).min(most(settings));
        let rest = left.checked_sub(100);
        self.left.set(rest.unwrap_or(left));
        rest.is_some()
    }
}

fn most(settings: BudgetSettings) -> u64 {
    let saved = if settings.percent > 0 { SAVED_MAX } else { 0 };
    (saved + SECONDS_MAX * u64::from(settings.per_second_min)) * 100
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time;

    #[test]
    fn requests_and_seconds_pay_for_retries() {
        let start = time::now();
        let at = |ms| start + Duration::from_millis(ms);
        let drain = |budget: &Budget, settings, now| (0..10_000).take_while(|_| budget.withdraw(settings, now)).count();
        let part = BudgetSettings { percent: 20, per_second_min: 0 };
        let budget = Budget::new(part, start);
        assert_eq!(drain(&budget, part, start), 0);
        (0..50).for_each(|_| budget.deposit(part));
        assert_eq!(drain(&budget, part, start), 10);
        // What is saved up has a bound.
        (0..100_000).for_each(|_| budget.deposit(part));
        assert_eq!(drain(&budget, part, start), 100);

        let least = BudgetSettings { percent: 0, per_second_min: 3 };
        let budget = Budget::new(least, start);
        assert_eq!(drain(&budget, least, start), 3);
        assert_eq!(drain(&budget, least, at(2000)), 6);
        assert_eq!(drain(&budget, least, at(2100)), 0);
        assert_eq!(drain(&budget, least, at(2400)), 1);
        assert_eq!(drain(&budget, least, at(600_000)), 30);
        let none = BudgetSettings { percent: 0, per_second_min: 0 };
        assert_eq!(drain(&Budget::new(none, start), none, at(600_000)), 0);
    }
}
