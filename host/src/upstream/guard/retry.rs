//! Whether a request is sent once more, and after what wait.

use std::time::Duration;

use ::http::header::{self, HeaderMap};
use ::http::{Method, StatusCode};

use super::super::balance::Dice;
use super::BudgetSettings;

/// When a request is sent once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Most often per request. Going on to another endpoint because nothing could be sent to the first does not count.
    pub max: u32,
    /// After what.
    pub on: Vec<Trigger>,
    /// Which requests, when some of it may have been sent.
    pub methods: Methods,
    /// How many of all.
    pub budget: BudgetSettings,
    /// Longest request body that is kept to be sent once more; 0: only requests without body are.
    pub body_bytes_max: usize,
    /// Wait before an endpoint is asked again, doubled each time; none: no endpoint is asked again.
    pub backoff: Option<Duration>,
    /// Longest wait. An endpoint that asks for a longer one is not asked again.
    pub backoff_max: Duration,
    /// Longest time of one try until its response head is complete; none: the response timeout.
    pub try_timeout: Option<Duration>,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: 2,
            on: vec![Trigger::Connect, Trigger::Reset],
            methods: Methods::Idempotent,
            budget: BudgetSettings::default(),
            body_bytes_max: 0,
            backoff: None,
            backoff_max: Duration::from_secs(1),
            try_timeout: None,
        }
    }
}

/// After what a request is sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// No connection: nothing was sent.
    Connect,
    /// The connection broke before the response head was complete.
    Reset,
    /// There was no response head in time.
    Timeout,
    /// A response with this status.
    Status(StatusCode),
}

/// Which requests may be sent once more when some of it may have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Methods {
    /// Those that may be repeated safely (RFC 9110 section 9.2.2).
    Idempotent,
    /// These.
    Only(Vec<Method>),
}

impl Methods {
    /// Whether requests with this method may.
    pub(in crate::upstream) fn allow(&self, method: &Method) -> bool {
        match self {
            Self::Idempotent => method.is_idempotent(),
            Self::Only(methods) => methods.contains(method),
        }
    }
}

/// Why a request got no response that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Cause {
    /// Nothing of it was sent, since the endpoint could not be reached.
    Connect,
    /// Nothing of it was sent, since the endpoint has all the connections it may have.
    Busy,
    /// It may have been acted upon.
    Sent(Trigger),
    /// Another endpoint could do no better.
    Final,
}

impl Retries {
    /// Whether this status is a reason to ask once more.
    pub(in crate::upstream) fn heed(&self, status: StatusCode) -> bool {
        // Nearly always.
        if status.is_success() {
            return false;
        }
        self.on.contains(&Trigger::Status(status))
    }
}

/// The wait before an endpoint is asked again for the `number`th time, from 1: up to twice as long each time, by chance, so that not
/// everybody comes back at once.
pub(in crate::upstream) fn backoff(base: Duration, longest: Duration, number: u32, dice: &Dice) -> Duration {
    let factor = 2_u32.checked_pow(number.saturating_sub(1).min(31)).unwrap_or(u32::MAX);
    let full = base.saturating_mul(factor).min(longest);
    let nanos = u64::try_from(full.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos - nanos / 2 + dice.below(nanos / 2 + 1))
}

/// For how long a response asks to be left alone (RFC 9110 section 10.2.3); a date is taken against the response's own `Date`.
pub(in crate::upstream) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = headers.get(header::DATE)?.to_str().ok().and_then(|date| httpdate::parse_http_date(date).ok())?;
    Some(until.duration_since(date).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_vary() {
        let (dice, ms) = (Dice::seeded(1), Duration::from_millis);
        for (number, most) in [(1, 20), (2, 40), (3, 80), (4, 100), (99, 100)] {
            for _ in 0..100 {
                let wait = backoff(ms(20), ms(100), number, &dice);
                assert!(wait >= ms(most / 2) && wait <= ms(most), "{number}: {wait:?}");
            }
        }
        assert_eq!(backoff(Duration::ZERO, ms(100), 3, &dice), Duration::ZERO);
    }

    #[test]
    fn what_a_response_asks_for_is_understood() {
        let check = |fields: &[(header::HeaderName, &str)], expected: Option<u64>| {
            let headers =
                HeaderMap::from_iter(fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())));
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{fields:?}");
        };
        let date = (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(&[(header::RETRY_AFTER, "120")], Some(120));
        check(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:49:40 GMT"), date.clone()], Some(3));
        check(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:49:30 GMT"), date], Some(0));
        check(&[(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:49:40 GMT")], None);
        check(&[(header::RETRY_AFTER, "soon")], None);
        check(&[], None);
    }
}
