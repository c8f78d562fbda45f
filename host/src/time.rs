//! The only place that asks for the time.
//!
//! Everything else takes an [`Instant`] or a Unix time as a value, so that what depends on time can be tested without
//! waiting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use std::time::Instant;

/// The monotonic time.
#[inline]
pub fn now() -> Instant {
    Instant::now()
}

/// The time since the Unix epoch; zero where the system clock stands before it.
#[inline]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A Unix time as RFC 3339 writes it, in UTC and with milliseconds.
pub fn rfc3339(unix: Duration) -> String {
    let Date { year, month, day } = date(unix.as_secs() / 86_400);
    let rest = unix.as_secs() % 86_400;
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", unix.subsec_millis())
}

/// A date in the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The year.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

/// The date of a day since 1 January 1970 in the Gregorian calendar: counted in eras of 400 years that begin on 1 March, so that
/// the odd day comes last.
pub fn date(days: u64) -> Date {
    // 719 468 days lie between 1 March of the year 0 and 1 January 1970; an era has 146 097.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 153 days in each five.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Date { year: era * 400 + year_of_era + u64::from(month <= 2), month, day }
}

/// The time as files are stamped with it.
pub fn file_time() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_by_the_civil_calendar() {
        let check = |ms, expected: &str| assert_eq!(rfc3339(Duration::from_millis(ms)), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_007, "2000-02-29T00:00:00.007Z");
        check(1_709_251_199_000, "2024-02-29T23:59:59.000Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }
}
