//! Ranges of bytes (RFC 9110 section 14).
//!
//! Pure. What is asked for never comes to more than there is: whoever asks for many or overlapping ranges gets the whole.

use http::{HeaderMap, header};

/// Most ranges in one request. Each costs a few bytes of ours besides its own.
const RANGES_MAX: usize = 64;

/// Bytes of something, the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub first: u64,
    /// Where it ends.
    pub last: u64,
}

impl Range {
    /// How many there are.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// `Content-Range`.
    pub fn told(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }
}

/// What is wanted of a representation.
#[derive(Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All of it.
    Whole,
    /// A part.
    One(Range),
    /// Several parts.
    Many(Vec<Range>),
    /// Only what lies outside.
    Outside,
}

/// What `Range` asks for of something of this size. A field that is not understood is not heard.
pub fn wanted_ranges(headers: &HeaderMap, size: u64) -> Ranges {
    let mut lines = headers.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Ranges::Whole };
    // Of nothing there are no parts; some clients ask for ranges always.
    if size == 0 {
        return Ranges::Whole;
    }
    match line.to_str().ok().and_then(|text| read(text, size)) {
        None => Ranges::Whole,
        Some(ranges) => match *ranges.as_slice() {
            [] => Ranges::Outside,
            [one] => Ranges::One(one),
            _ if ranges.iter().map(|range| range.length()).fold(0, u64::saturating_add) > size => Ranges::Whole,
            _ => Ranges::Many(ranges),
        },
    }
}

/// The ranges that are within it; none where the field is malformed or has too many.
fn read(text: &str, size: u64) -> Option<Vec<Range>> {
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    let mut count = 0;
    for text in set.split(',').map(|text| text.trim_matches([' ', '\t'])).filter(|text| !text.is_empty()) {
        count += 1;
        if count > RANGES_MAX {
            return None;
        }
        let (first, last) = text.split_once('-')?;
        let (first, last) = match (number(first)?, number(last)?) {
            (None, None) => return None,
            // The last bytes.
            (None, Some(0)) => continue,
            (None, Some(length)) => (size.saturating_sub(length), size - 1),
            (Some(first), None) => (first, size - 1),
            (Some(first), Some(last)) if last < first => return None,
            (Some(first), Some(last)) => (first, last.min(size - 1)),
        };
        if first < size {
            ranges.push(Range { first, last });
        }
    }
    (count > 0).then_some(ranges)
}

/// Digits or nothing. A number that is too large is as good as the largest.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, size: u64) -> Ranges {
        wanted_ranges(&HeaderMap::from_iter([(header::RANGE, text.parse().unwrap())]), size)
    }

    #[test]
    fn ranges_are_read() {
        let check = |text: &str, expected: &str| {
            let told = match of(text, 100) {
                Ranges::Whole => "whole".to_owned(),
                Ranges::Outside => "outside".to_owned(),
                Ranges::One(one) => format!("{}-{}", one.first, one.last),
                Ranges::Many(many) => {
                    many.iter().map(|one| format!("{}-{}", one.first, one.last)).collect::<Vec<_>>().join(" ")
                }
            };
            assert_eq!(told, expected, "{text}");
        };
        check("bytes=0-0", "0-0");
        check("Bytes=5-9", "5-9");
        check("bytes=90-", "90-99");
        check("bytes=90-200", "90-99");
        check("bytes=-10", "90-99");
        check("bytes=-200", "0-99");
        check("bytes=0-99999999999999999999999", "0-99");
        check("bytes=100-", "outside");
        check("bytes=99999999999999999999999-", "outside");
        check("bytes=-0", "outside");
        check("bytes=0-1,100-", "0-1");
        check("bytes=0-1, ,-1,", "0-1 99-99");
        check("bytes=50-59,0-9", "50-59 0-9");
        check("bytes=0-9,5-14", "0-9 5-14");
        check("bytes=0-,0-", "whole");
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=1-2-3",
            "bytes = 0-1",
        ] {
            check(text, "whole");
        }
        check(&format!("bytes={}", "0-0,".repeat(RANGES_MAX)), &["0-0"; RANGES_MAX].join(" "));
        check(&format!("bytes={}", "0-0,".repeat(RANGES_MAX + 1)), "whole");
        assert_eq!(of("bytes=0-", 0), Ranges::Whole);
    }

    proptest! {
        #[test]
        fn parts_are_within_the_file_and_no_more_than_it(
            text in "bytes=([0-9]{0,3}-[0-9]{0,3},?){1,8}", size in 0_u64..300,
        ) {
            let all = match of(&text, size) {
                Ranges::One(one) => vec![one],
                Ranges::Many(many) => many,
                Ranges::Whole | Ranges::Outside => Vec::new(),
            };
            prop_assert!(all.iter().all(|range| range.first <= range.last && range.last < size));
            prop_assert!(all.iter().map(|range| range.length()).sum::<u64>() <= size);
        }
    }
}
