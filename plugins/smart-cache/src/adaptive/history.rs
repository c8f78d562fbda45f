//! What is known of a resource's changes, and the ttl that follows. Takes values and `now`, asks nobody.

use std::hash::{DefaultHasher, Hasher};
use std::time::UNIX_EPOCH;

/// What one response tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A number that changes when the content does.
    validator: Option<u64>,
    /// When it changed last, in milliseconds since the epoch.
    modified: Option<u64>,
}

impl Seen {
    /// From `ETag` and `Last-Modified`; `length` is what tells a change where there is neither.
    pub(crate) fn new(etag: Option<&[u8]>, last_modified: Option<&[u8]>, length: Option<&[u8]>) -> Self {
        let modified = last_modified
            .and_then(|bytes| httpdate::parse_http_date(std::str::from_utf8(bytes).ok()?).ok())
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_millis()).ok());
        let validator = etag.map(number).or(modified).or_else(|| length.map(number));
        Self { validator, modified }
    }
}

/// Fixed keys: the number must be the same in every instance.
fn number(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// What is remembered of a resource. Times in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    validator: u64,
    changed_at: u64,
    /// The average time between changes; 0 where none was seen.
    average: u64,
}

impl History {
    /// What is known after a response. None where it tells nothing.
    pub(crate) fn next(known: Option<Self>, seen: &Seen, now: u64) -> Option<Self> {
        let validator = seen.validator?;
        // A clock that is ahead of ours must not make an age negative.
        let changed_at = seen.modified.unwrap_or(now).min(now);
        Some(match known {
            None => Self { validator, changed_at, average: 0 },
            Some(known) if known.validator == validator => known,
            Some(known) => {
                let interval = changed_at.max(known.changed_at).saturating_sub(known.changed_at);
                let average = if known.average == 0 { interval } else { known.average / 4 * 3 + interval / 4 };
                Self { validator, changed_at, average }
            }
        })
    }

    /// How long it stays unchanged, as far as that can be known now: the average, or longer if it already did.
    pub(crate) fn interval(&self, now: u64) -> u64 {
        self.average.max(now.saturating_sub(self.changed_at))
    }

    /// For `kv`.
    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.validator, self.changed_at, self.average];
        bytes.iter_mut().zip(numbers.iter().flat_map(|number| number.to_le_bytes())).for_each(|(to, from)| *to = from);
        bytes
    }

    /// From `kv`; none where it is not ours.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let [validator, changed_at, average] = numbers else { return None };
        Some(Self {
            validator: u64::from_le_bytes(*validator),
            changed_at: u64::from_le_bytes(*changed_at),
            average: u64::from_le_bytes(*average),
        })
    }
}

/// `interval × share × (1 + popularity × log2(1 + requests per minute))` within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Formula {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) share: f64,
    pub(crate) popularity: f64,
}

impl Formula {
    /// Milliseconds.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds lose nothing that matters, and the cast back saturates"
    )]
    pub(crate) fn ttl(&self, interval: u64, requests_per_minute: f64) -> u64 {
        let popular = 1.0 + self.popularity * (1.0 + requests_per_minute).log2();
        let ttl = interval as f64 * self.share * popular;
        (ttl as u64).clamp(self.min, self.max)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn seen(etag: &str) -> Seen {
        Seen::new(Some(etag.as_bytes()), None, None)
    }

    #[test]
    fn an_interval_grows_while_nothing_changes() {
        let start = 1_000_000 * MINUTE;
        let first = History::next(None, &seen("a"), start).unwrap();
        assert_eq!(first.interval(start), 0);
        let same = History::next(Some(first), &seen("a"), start + 10 * MINUTE).unwrap();
        assert_eq!(same, first);
        assert_eq!(same.interval(start + 10 * MINUTE), 10 * MINUTE);
    }

    #[test]
    fn changes_are_averaged() {
        let mut now = 1_000_000 * MINUTE;
        let mut history = History::next(None, &seen("0"), now).unwrap();
        for change in 1..=3 {
            now += 8 * MINUTE;
            history = History::next(Some(history), &seen(&change.to_string()), now).unwrap();
        }
        assert_eq!(history.interval(now), 8 * MINUTE);
        history = History::next(Some(history), &seen("quick"), now + 4 * MINUTE).unwrap();
        assert_eq!(history.interval(now + 4 * MINUTE), 7 * MINUTE);
    }

    #[test]
    fn last_modified_tells_the_age_at_once() {
        let seen = Seen::new(None, Some(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(b"5"));
        let modified = 784_111_777_000;
        let history = History::next(None, &seen, modified + 100 * MINUTE).unwrap();
        assert_eq!(history.interval(modified + 100 * MINUTE), 100 * MINUTE);
        // A date in the future is now.
        assert_eq!(History::next(None, &seen, modified - MINUTE).unwrap().interval(modified - MINUTE), 0);
    }

    #[test]
    fn a_response_without_validators_tells_nothing() {
        assert_eq!(History::next(None, &Seen::new(None, None, None), 1), None);
        assert_eq!(History::next(None, &Seen::new(None, Some(b"yesterday"), None), 1), None);
    }

    #[test]
    fn a_length_tells_a_change_where_nothing_else_does() {
        let of = |length: &[u8]| Seen::new(None, None, Some(length));
        let start = 1_000_000 * MINUTE;
        let first = History::next(None, &of(b"100"), start).unwrap();
        assert_eq!(History::next(Some(first), &of(b"100"), start + MINUTE), Some(first));
        let changed = History::next(Some(first), &of(b"101"), start + 8 * MINUTE).unwrap();
        assert_eq!((changed.interval(start + 8 * MINUTE), changed == first), (8 * MINUTE, false));
        assert_eq!(Seen::new(Some(b"a"), None, Some(b"1")), Seen::new(Some(b"a"), None, Some(b"2")));
    }

    /// What does not change is kept longer every time, what changes is kept shorter, within the bounds.
    #[test]
    fn the_ttl_follows_what_happens() {
        let formula = Formula { min: 5_000, max: 3_600_000, share: 0.1, popularity: 0.0 };
        let mut now = 1_000_000 * MINUTE;
        let (mut history, mut last) = (History::next(None, &seen("a"), now).unwrap(), 0);
        for _ in 0..200 {
            let ttl = formula.ttl(history.interval(now), 0.0);
            assert!(ttl >= last && (formula.min..=formula.max).contains(&ttl), "{ttl} after {last}");
            last = ttl;
            now += ttl;
            history = History::next(Some(history), &seen("a"), now).unwrap();
        }
        assert_eq!(last, formula.max);
        for change in 0..40 {
            history = History::next(Some(history), &seen(&change.to_string()), now).unwrap();
            let ttl = formula.ttl(history.interval(now), 0.0);
            assert!(ttl <= last && (formula.min..=formula.max).contains(&ttl), "{ttl} after {last}");
            last = ttl;
            now += ttl;
        }
        assert!(last < 60_000, "{last}");
    }

    #[test]
    fn the_formula_stays_within_its_bounds() {
        let formula = Formula { min: 5_000, max: 3_600_000, share: 0.1, popularity: 0.1 };
        assert_eq!(formula.ttl(0, 0.0), 5_000);
        assert_eq!(formula.ttl(100 * MINUTE, 0.0), 10 * MINUTE);
        // log2(1 + 1023) = 10, so twice as long.
        assert_eq!(formula.ttl(100 * MINUTE, 1023.0), 20 * MINUTE);
        assert_eq!(formula.ttl(u64::MAX, 1e9), 3_600_000);
    }

    #[test]
    fn bytes_come_back_as_they_went() {
        let history = History { validator: 1, changed_at: u64::MAX, average: 3 };
        assert_eq!(History::from_bytes(&history.to_bytes()), Some(history));
        assert_eq!(History::from_bytes(b"short"), None);
    }
}
