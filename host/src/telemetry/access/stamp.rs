//! Moments as text. The text of a second is made once.
//!
//! Pure: the clocks are read by whoever asks. Invariant: what is told never drifts from the system's clock by more than a second's worth of
//! adjustment, since it is looked at again every second.

use std::time::Duration;

use crate::time::{Date, Instant, date};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// How long one look at the system's clock holds.
const HOLDS: Duration = Duration::from_secs(1);

/// Tells what the system's clock said when an exchange began.
#[derive(Debug)]
pub(super) struct Stamp {
    /// What the clock said when.
    looked: Option<(Instant, Duration)>,
    /// The time since the Unix epoch that is told.
    unix: Duration,
    /// The second since the Unix epoch that the texts are of.
    second: u64,
    /// `2026-11-21T09:05:00.123Z`, in which the milliseconds are written anew each time.
    date: [u8; 24],
    /// `21/Nov/2026:09:05:00 +0000`
    common: [u8; 26],
}

impl Default for Stamp {
    fn default() -> Self {
        let mut stamp = Self { looked: None, unix: Duration::ZERO, second: 0, date: [0; 24], common: [0; 26] };
        stamp.write(0);
        stamp
    }
}

impl Stamp {
    /// Tells of what began at an instant and has lasted so long until now.
    pub(super) fn follow(&mut self, began: Instant, lasted: Duration, unix: impl FnOnce() -> Duration) {
        self.unix = match self.looked {
            // What is asked most takes one look at its age.
            Some((at, then)) => match began.checked_duration_since(at) {
                Some(since) if since + lasted < HOLDS => then + since,
                _ => self.look(began, lasted, unix),
            },
            None => self.look(began, lasted, unix),
        };
        self.write(self.unix.as_secs());
    }

    /// The time since the Unix epoch of what began at an instant. Looks at the system's clock if that has not been done for a second.
    #[cold]
    fn look(&mut self, began: Instant, lasted: Duration, unix: impl FnOnce() -> Duration) -> Duration {
        let now = began + lasted;
        let (at, then) = match self.looked {
            Some((at, then)) if now.saturating_duration_since(at) < HOLDS => (at, then),
            _ => (now, unix()),
        };
        self.looked = Some((at, then));
        match began.checked_duration_since(at) {
            Some(since) => then + since,
            None => then.saturating_sub(at.saturating_duration_since(began)),
        }
    }

    /// `2026-11-21T09:05:00.123Z` (RFC 3339)
    pub(super) fn rfc3339(&mut self) -> &[u8; 24] {
        let [.., high, middle, low, _] = &mut self.date;
        let (millis, digit) = (self.unix.subsec_millis(), |number: u32| b'0' + (number % 10) as u8);
        (*high, *middle, *low) = (digit(millis / 100), digit(millis / 10), digit(millis));
        &self.date
    }

    /// `21/Nov/2026:09:05:00 +0000`
    pub(super) fn common(&self) -> &[u8] {
        &self.common
    }

    fn write(&mut self, second: u64) {
        if second == self.second && self.date[0] != 0 {
            return;
        }
        self.second = second;
        let Date { year, month, day } = date(second / 86_400);
        let two = |number: u64| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        let [[y1, y2], [y3, y4]] = [two(year / 100), two(year % 100)];
        let ([m1, m2], [d1, d2]) = (two(month), two(day));
        let clock = second % 86_400;
        let ([h1, h2], [n1, n2], [s1, s2]) = (two(clock / 3600), two(clock / 60 % 60), two(clock % 60));
        self.date = [
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', b'0', b'0',
            b'0', b'Z',
        ];
        let name = usize::try_from(month).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
        let [a, b, c] = **name.unwrap_or(&b"Jan");
        self.common = [
            d1, d2, b'/', a, b, c, b'/', y1, y2, y3, y4, b':', h1, h2, b':', n1, n2, b':', s1, s2, b' ', b'+', b'0',
            b'0', b'0', b'0',
        ];
    }

    /// `20261121-090500`, for names of files.
    pub(super) fn compact(unix: Duration) -> String {
        let Date { year, month, day } = date(unix.as_secs() / 86_400);
        let clock = unix.as_secs() % 86_400;
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}.{:03}", unix.subsec_millis())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::time;

    fn told(stamp: &mut Stamp) -> (String, String) {
        let rfc3339 = String::from_utf8(stamp.rfc3339().to_vec()).unwrap();
        (rfc3339, String::from_utf8(stamp.common().to_vec()).unwrap())
    }

    #[test]
    fn moments_are_told_in_both_ways() {
        let now = time::now();
        let check = |unix: Duration, rfc3339: &str, common: &str| {
            let mut stamp = Stamp::default();
            stamp.follow(now, Duration::ZERO, || unix);
            assert_eq!(told(&mut stamp), (rfc3339.to_owned(), common.to_owned()));
        };
        let at = Duration::from_millis;
        check(Duration::ZERO, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000");
        check(at(951_782_399_999), "2000-02-28T23:59:59.999Z", "28/Feb/2000:23:59:59 +0000");
        check(at(951_782_400_000), "2000-02-29T00:00:00.000Z", "29/Feb/2000:00:00:00 +0000");
        check(at(1_795_252_500_007), "2026-11-21T09:15:00.007Z", "21/Nov/2026:09:15:00 +0000");
        check(at(4_107_542_400_000), "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        // Against the calendar of another crate, over four centuries.
        for day in 0..146_097_u64 {
            let Date { year, month, day: of_month } = date(day);
            let second = std::time::UNIX_EPOCH + Duration::from_secs(day * 86_400);
            let theirs = httpdate::HttpDate::from(second).to_string();
            let name = std::str::from_utf8(MONTHS[usize::try_from(month).unwrap() - 1]).unwrap();
            assert!(theirs.contains(&format!("{of_month:02} {name} {year:04}")), "{day}: {theirs}");
        }
    }

    #[test]
    fn the_clock_is_looked_at_every_second_and_what_began_before_keeps_its_time() {
        let (now, second) = (time::now(), Duration::from_secs(1));
        let mut stamp = Stamp::default();
        stamp.follow(now, Duration::ZERO, || Duration::from_secs(100));
        stamp.follow(now + second / 2, second * 2 / 5, || unreachable!());
        assert_eq!(stamp.unix, Duration::from_millis(100_500));
        stamp.follow(now - second * 2, second * 5 / 2, || unreachable!());
        assert_eq!(stamp.unix, Duration::from_secs(98));
        // The clock has been set.
        stamp.follow(now + second / 2, second / 2, || Duration::from_secs(201));
        assert_eq!(stamp.unix, Duration::from_millis(200_500));
        assert_eq!(told(&mut stamp).0, "1970-01-01T00:03:20.500Z");
        stamp.follow(now + second * 3 / 2, Duration::ZERO, || unreachable!());
        assert_eq!(told(&mut stamp).0, "1970-01-01T00:03:21.500Z");
    }
}
