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

/// Tells what the system's clock said at an instant.
#[derive(Debug)]
pub(super) struct Stamp {
    /// What the clock said when.
    looked: Option<(Instant, Duration)>,
    /// The second since the Unix epoch that the texts are of.
    second: u64,
    /// `2026-11-21T09:05:00.123Z`, in which the milliseconds are written anew each time.
    date: [u8; 24],
    /// `21/Nov/2026:09:05:00 +0000`
    common: [u8; 26],
}

impl Default for Stamp {
    fn default() -> Self {
        let mut stamp = Self { looked: None, second: 0, date: [0; 24], common: [0; 26] };
        stamp.write(0);
        stamp
    }
}

impl Stamp {
    /// Looks at the system's clock if that has not been done for a second. `now` must not be before what was looked at last by much.
    pub(super) fn follow(&mut self, now: Instant, unix: impl FnOnce() -> Duration) {
        match self.looked {
            Some((at, _)) if now.saturating_duration_since(at) < HOLDS => {}
            _ => self.looked = Some((now, unix())),
        }
    }

    /// The time since the Unix epoch at an instant.
    pub(super) fn unix(&self, at: Instant) -> Duration {
        let Some((looked, unix)) = self.looked else { return Duration::ZERO };
        match at.checked_duration_since(looked) {
            Some(later) => unix + later,
            None => unix.saturating_sub(looked.saturating_duration_since(at)),
        }
    }

    /// Appends `2026-11-21T09:05:00.123Z` (RFC 3339).
    pub(super) fn rfc3339(&mut self, at: Instant, out: &mut Vec<u8>) {
        let unix = self.unix(at);
        self.write(unix.as_secs());
        let [.., high, middle, low, _] = &mut self.date;
        let (millis, digit) = (unix.subsec_millis(), |number: u32| b'0' + (number % 10) as u8);
        (*high, *middle, *low) = (digit(millis / 100), digit(millis / 10), digit(millis));
        out.extend_from_slice(&self.date);
    }

    /// Appends `21/Nov/2026:09:05:00 +0000`.
    pub(super) fn common(&mut self, at: Instant, out: &mut Vec<u8>) {
        let unix = self.unix(at);
        self.write(unix.as_secs());
        out.extend_from_slice(&self.common);
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

    fn told(stamp: &mut Stamp, at: Instant) -> (String, String) {
        let (mut rfc3339, mut common) = (Vec::new(), Vec::new());
        stamp.rfc3339(at, &mut rfc3339);
        stamp.common(at, &mut common);
        (String::from_utf8(rfc3339).unwrap(), String::from_utf8(common).unwrap())
    }

    #[test]
    fn moments_are_told_in_both_ways() {
        let now = time::now();
        let check = |unix: Duration, rfc3339: &str, common: &str| {
            let mut stamp = Stamp::default();
            stamp.follow(now, || unix);
            assert_eq!(told(&mut stamp, now), (rfc3339.to_owned(), common.to_owned()));
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
        let now = time::now();
        let mut stamp = Stamp::default();
        stamp.follow(now, || Duration::from_secs(100));
        stamp.follow(now + Duration::from_millis(999), || unreachable!());
        assert_eq!(stamp.unix(now + Duration::from_millis(999)), Duration::from_millis(100_999));
        // The clock has been set.
        stamp.follow(now + Duration::from_secs(1), || Duration::from_secs(201));
        assert_eq!(stamp.unix(now + Duration::from_secs(1)), Duration::from_secs(201));
        assert_eq!(told(&mut stamp, now).0, "1970-01-01T00:03:20.000Z");
        assert_eq!(told(&mut stamp, now + Duration::from_millis(1500)).0, "1970-01-01T00:03:21.500Z");
    }
}
