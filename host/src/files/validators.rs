//! What tells one version of a file from another.
//!
//! Pure. The entity tag is strong: it is made of what changes whenever the bytes do.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use super::Coding;
use super::root::Stamp;
use crate::http::Validators;

/// The validators of a file in one of its forms.
pub(super) fn of(stamp: &Stamp, coding: Option<Coding>, now: Duration) -> Validators {
    // The number of the file and its time to the nanosecond, mixed: nobody needs to know them.
    let time = stamp.modified_s.wrapping_mul(1_000_000_000).wrapping_add(stamp.modified_ns).cast_unsigned();
    let version = mix(time ^ mix(stamp.inode));
    let text = match coding {
        None => format!("\"{:x}-{version:016x}\"", stamp.size),
        Some(coding) => format!("\"{:x}-{version:016x}-{}\"", stamp.size, coding.token()),
    };
    let etag = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\""));
    // RFC 9110 section 8.8.2.1: a time that is still to come is not told. One before the epoch has no date in HTTP.
    let modified = u64::try_from(stamp.modified_s).ok().map(|modified| modified.min(now.as_secs()));
    Validators { etag: Some(etag), modified }
}

/// `Last-Modified`.
pub(super) fn last_modified(validators: &Validators) -> Option<String> {
    validators.modified.map(|seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// The end of splitmix64: every bit in depends on every bit of the number, and no two numbers have the same.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: u64 = 784_111_777;
    const STAMP: Stamp = Stamp { size: 5, modified_s: MODIFIED as i64, modified_ns: 7, inode: 42 };
    const NOW: Duration = Duration::from_secs(MODIFIED + 100);
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn every_change_changes_the_tag() {
        let tag = |stamp: &Stamp, coding| of(stamp, coding, NOW).etag;
        let first = tag(&STAMP, None);
        assert_eq!(first, tag(&STAMP, None));
        for other in [
            tag(&Stamp { size: 6, ..STAMP }, None),
            tag(&Stamp { modified_s: STAMP.modified_s + 1, ..STAMP }, None),
            tag(&Stamp { modified_ns: 8, ..STAMP }, None),
            tag(&Stamp { inode: 43, ..STAMP }, None),
            tag(&STAMP, Some(Coding::Gzip)),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn dates_that_http_does_not_know_do_no_harm() {
        let told = |modified_s| last_modified(&of(&Stamp { modified_s, ..STAMP }, None, NOW));
        assert_eq!(told(STAMP.modified_s).as_deref(), Some(THEN));
        assert_eq!(told(-1), None);
        assert_eq!(told(i64::MAX).as_deref(), Some("Sun, 06 Nov 1994 08:51:17 GMT"));
    }
}
