//! When a service that did not take a request is asked again, and when never.
//!
//! Pure. The wait doubles from try to try up to a limit and is cut by chance, so that what failed together does not come again
//! together; a service that names a time itself (`Retry-After`, RFC 9110 section 10.2.3) is not asked before that.

use std::time::Duration;

use ::http::{HeaderMap, header};

/// When a service is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// From the first try to the second. At least half of it.
    pub wait: Duration,
    /// Longest wait from one try to the next.
    pub wait_max: Duration,
    /// What has not been taken by then is given up.
    pub give_up_after: Duration,
}

impl Retries {
    /// How long to wait after so many tries; none: give up. `spent`: since the first try; `asked`: what the service asks for; `chance`:
    /// any number.
    pub fn wait(&self, tries: u32, spent: Duration, asked: Option<Duration>, chance: u32) -> Option<Duration> {
        let doubled = self.wait.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(self.wait_max);
        let cut = doubled / 2 + (doubled / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX));
        let wait = cut.max(asked.unwrap_or_default());
        (spent.saturating_add(wait) <= self.give_up_after).then_some(wait)
    }
}

/// How long a response asks us to wait; `now`: Unix time.
pub(super) fn asked(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(now))
}

/// Any number; where the system has no randomness, the highest.
pub fn chance() -> u32 {
    let mut bytes = [u8::MAX; 4];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_a_limit_and_end() {
        let retries = Retries { wait: SECOND, wait_max: 10 * SECOND, give_up_after: 60 * SECOND };
        let millis = |tries, spent, asked, chance| {
            retries.wait(tries, spent, asked, chance).map(|wait: Duration| wait.as_millis())
        };
        let check = |tries, shortest, longest| {
            assert_eq!(millis(tries, SECOND, None, 0), Some(shortest), "{tries}");
            assert_eq!(millis(tries, SECOND, None, u32::MAX), Some(longest), "{tries}");
        };
        check(1, 500, 1_000);
        check(2, 1_000, 2_000);
        check(4, 4_000, 8_000);
        check(5, 5_000, 10_000);
        check(1_000_000, 5_000, 10_000);
        assert_eq!(millis(5, 55 * SECOND, None, 0), Some(5_000));
        assert_eq!(millis(5, 56 * SECOND, None, 0), None);
        assert_eq!(millis(1, SECOND, Some(30 * SECOND), 0), Some(30_000));
        assert_eq!(millis(1, SECOND, Some(60 * SECOND), 0), None, "a time after the end");
    }

    #[test]
    fn a_service_may_name_a_time() {
        let check = |text: &str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(
                asked(&headers, Duration::from_secs(784_111_770)).map(|wait| wait.as_secs()),
                expected,
                "{text}"
            );
        };
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("-1", None);
        check("soon", None);
        check("99999999999999999999", None);
        // A date is Unix time 784111777.
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        assert_eq!(asked(&HeaderMap::new(), SECOND), None);
    }
}
