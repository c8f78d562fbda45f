//! When to ask: pure functions of what is known and of the time, which is in seconds and fractions since the Unix epoch.

use std::time::Duration;

/// The first wait after a failure. With the doubling, a host is tried five times in the first hour: the limit of Let's Encrypt
/// for failed validations.
const FIRST_PAUSE: Duration = Duration::from_secs(2 * 60);

/// The longest wait: whoever repairs something overnight finds it tried in the morning.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);

/// The shortest wait after the CA has said that it was asked too often: most of its limits count by the hour.
const LIMITED_PAUSE: Duration = Duration::from_secs(3600);

/// When a certificate is renewed: `before` its end, but not before two thirds of its life have passed. A short-lived one would
/// otherwise be renewed all the time.
pub(super) fn renewal(not_before: Duration, not_after: Duration, before: Duration) -> Duration {
    let life = not_after.saturating_sub(not_before);
    not_after.saturating_sub(before.min(life / 3))
}

/// What went wrong, as far as it matters for when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Something that may be over soon.
    Passing,
    /// We have asked too often.
    Limited,
}

/// How long to wait after so many failures in a row.
pub(super) fn pause(failures: u32, trouble: Trouble) -> Duration {
    // More doublings than reach the longest wait are not needed, and would overflow.
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    match trouble {
        Trouble::Passing => doubled,
        Trouble::Limited => doubled.max(LIMITED_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn renewed_in_time_and_not_too_early() {
        let check = |life: Duration, before: Duration, expected: Duration| {
            let (from, until) = (100 * DAY, 100 * DAY + life);
            assert_eq!(renewal(from, until, before), from + expected, "{life:?} {before:?}");
        };
        check(90 * DAY, 30 * DAY, 60 * DAY);
        check(90 * DAY, 10 * DAY, 80 * DAY);
        check(90 * DAY, 60 * DAY, 60 * DAY);
        check(6 * DAY, 30 * DAY, 4 * DAY);
        // A certificate that ends before it begins is renewed at once.
        assert_eq!(renewal(5 * DAY, 3 * DAY, DAY), 3 * DAY);
    }

    #[test]
    fn waits_grow_and_end_growing() {
        let minutes = |failures| pause(failures, Trouble::Passing).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5].map(minutes), [2, 4, 8, 16, 32]);
        assert_eq!([10, 40, u32::MAX].map(minutes), [720, 720, 720]);
        // The sixth attempt comes after more than an hour.
        assert!([1, 2, 3, 4, 5].map(minutes).iter().sum::<u64>() >= 60);
        assert_eq!(pause(1, Trouble::Limited), LIMITED_PAUSE);
        assert_eq!(pause(30, Trouble::Limited), LONGEST_PAUSE);
    }
}
