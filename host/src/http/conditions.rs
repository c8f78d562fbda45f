//! Validators and conditional requests (RFC 9110 sections 8.8 and 13).
//!
//! Pure.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// What tells one version of a representation from another.
#[derive(Debug)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<HeaderValue>,
    /// `Last-Modified`, in seconds since the Unix epoch.
    pub modified: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Answer with the whole.
    Whole,
    /// Answer with the part that is asked for.
    Part,
    /// The client has it already: 304.
    NotModified,
    /// It is not what the client thinks: 412.
    Failed,
}

impl Validators {
    /// Whether `list` has our entity tag (section 13.1).
    fn is_in(&self, headers: &HeaderMap, list: &HeaderName, comparison: Comparison) -> bool {
        let own = self.etag.as_ref().map(HeaderValue::as_bytes);
        headers.get_all(list).iter().any(|line| {
            line.as_bytes().trim_ascii() == b"*" || own.is_some_and(|own| has_tag(line.as_bytes(), own, comparison))
        })
    }

    /// Whether it is no newer than a date; none where that cannot be said (sections 13.1.3 and 13.1.4).
    fn is_as_old_as(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        Some(self.modified? <= date(headers, name)?)
    }

    /// Whether `If-Range` lets a part be answered with (section 13.1.5).
    fn lets_part(&self, headers: &HeaderMap, now: Duration) -> bool {
        let mut lines = headers.get_all(header::IF_RANGE).iter();
        match (lines.next(), lines.next()) {
            (None, _) => true,
            (Some(_), Some(_)) => false,
            (Some(line), None) if line.as_bytes().ends_with(b"\"") => {
                self.etag.as_ref() == Some(line) && line.as_bytes().starts_with(b"\"")
            }
            // A date is good for this only once its second is over: until then it may change again within it.
            (Some(_), None) => {
                self.modified.is_some_and(|modified| modified < now.as_secs())
                    && date(headers, &header::IF_RANGE) == self.modified
            }
        }
    }
}

/// In the order of RFC 9110 section 13.2.2.
pub fn decide(method: &Method, headers: &HeaderMap, validators: &Validators, now: Duration) -> Decision {
    if headers.contains_key(header::IF_MATCH) {
        if !validators.is_in(headers, &header::IF_MATCH, Comparison::Strong) {
            return Decision::Failed;
        }
    } else if validators.is_as_old_as(headers, &header::IF_UNMODIFIED_SINCE) == Some(false) {
        return Decision::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if validators.is_in(headers, &header::IF_NONE_MATCH, Comparison::Weak) {
            return Decision::NotModified;
        }
    } else if validators.is_as_old_as(headers, &header::IF_MODIFIED_SINCE) == Some(true) {
        return Decision::NotModified;
    }
    // Ranges are defined for GET only (section 14.2).
    let part = *method == Method::GET && headers.contains_key(header::RANGE) && validators.lets_part(headers, now);
    if part { Decision::Part } else { Decision::Whole }
}

/// How entity tags are compared (section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags has this one. A comma may be part of a tag.
fn has_tag(list: &[u8], tag: &[u8], comparison: Comparison) -> bool {
    let (own_weak, tag) = tag.strip_prefix(b"W/").map_or((false, tag), |tag| (true, tag));
    let mut rest = list;
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (weak, quoted) = match rest {
            [b'W', b'/', after @ ..] => (true, after),
            _ => (false, rest),
        };
        let [b'"', after @ ..] = quoted else { return false };
        let Some(end) = after.iter().position(|byte| *byte == b'"') else { return false };
        let (one, after) = quoted.split_at(end + 2);
        if one == tag && (comparison == Comparison::Weak || !(weak || own_weak)) {
            return true;
        }
        rest = after;
    }
}

/// The date of a field of which there is one, in seconds since the Unix epoch. What is no date counts as absent.
pub(crate) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(name).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let time = httpdate::parse_http_date(line.to_str().ok()?).ok()?;
    // What lies before the epoch is older than anything that has a date.
    Some(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const MODIFIED: u64 = 784_111_777;
    const NOW: Duration = Duration::from_secs(MODIFIED + 100);
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        Validators { etag: Some(HeaderValue::from_static("\"5-a\"")), modified: Some(MODIFIED) }
    }

    fn headers(fields: &[(HeaderName, &str)], etag: &str) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.replace("TAG", etag).parse().unwrap())).collect()
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
        let validators = validators();
        let etag = "\"5-a\"";
        let check = |fields: &[(HeaderName, &str)], expected| {
            assert_eq!(decide(&Method::GET, &headers(fields, etag), &validators, NOW), expected, "{fields:?}");
        };
        let range = (RANGE, "bytes=0-1");
        check(&[], Decision::Whole);
        check(std::slice::from_ref(&range), Decision::Part);
        check(&[(IF_MATCH, "\"x\", TAG")], Decision::Whole);
        check(&[(IF_MATCH, "*")], Decision::Whole);
        check(&[(IF_MATCH, "\"x\"")], Decision::Failed);
        check(&[(IF_MATCH, "W/TAG")], Decision::Failed);
        check(&[(IF_MATCH, "nonsense")], Decision::Failed);
        check(&[(IF_UNMODIFIED_SINCE, EARLIER)], Decision::Failed);
        check(&[(IF_UNMODIFIED_SINCE, THEN)], Decision::Whole);
        check(&[(IF_UNMODIFIED_SINCE, "yesterday")], Decision::Whole);
        // What goes by the tag leaves the date unheard.
        check(&[(IF_MATCH, "TAG"), (IF_UNMODIFIED_SINCE, EARLIER)], Decision::Whole);
        check(&[(IF_NONE_MATCH, "TAG")], Decision::NotModified);
        check(&[(IF_NONE_MATCH, "W/\"a,b\" ,, W/TAG")], Decision::NotModified);
        check(&[(IF_NONE_MATCH, "*")], Decision::NotModified);
        check(&[(IF_NONE_MATCH, "\"x\"")], Decision::Whole);
        check(&[(IF_MODIFIED_SINCE, THEN)], Decision::NotModified);
        check(&[(IF_MODIFIED_SINCE, LATER)], Decision::NotModified);
        check(&[(IF_MODIFIED_SINCE, EARLIER)], Decision::Whole);
        check(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, THEN)], Decision::Whole);
        check(&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, "TAG")], Decision::Failed);
        check(&[(IF_NONE_MATCH, "TAG"), range.clone()], Decision::NotModified);
        check(&[(IF_RANGE, "TAG"), range.clone()], Decision::Part);
        check(&[(IF_RANGE, "W/TAG"), range.clone()], Decision::Whole);
        check(&[(IF_RANGE, "\"x\""), range.clone()], Decision::Whole);
        check(&[(IF_RANGE, THEN), range.clone()], Decision::Part);
        check(&[(IF_RANGE, EARLIER), range.clone()], Decision::Whole);
        check(&[(IF_RANGE, LATER), range.clone()], Decision::Whole);
        let head = headers(&[range], etag);
        assert_eq!(decide(&Method::HEAD, &head, &validators, NOW), Decision::Whole);
    }

    #[test]
    fn a_date_is_no_validator_while_its_second_lasts() {
        let validators = validators();
        let headers = headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, THEN)], "");
        let decided = |now| decide(&Method::GET, &headers, &validators, Duration::from_secs(now));
        assert_eq!(decided(MODIFIED), Decision::Whole);
        assert_eq!(decided(MODIFIED + 1), Decision::Part);
    }

    #[test]
    fn a_weak_tag_is_no_proof() {
        let weak = Validators { etag: Some(HeaderValue::from_static("W/\"a\"")), modified: None };
        let check = |name: HeaderName, text: &str, expected| {
            let headers = headers(&[(name, text), (header::RANGE, "bytes=0-1")], "");
            assert_eq!(decide(&Method::GET, &headers, &weak, NOW), expected, "{text}");
        };
        check(header::IF_NONE_MATCH, "\"a\"", Decision::NotModified);
        check(header::IF_NONE_MATCH, "W/\"a\"", Decision::NotModified);
        check(header::IF_MATCH, "W/\"a\"", Decision::Failed);
        check(header::IF_RANGE, "W/\"a\"", Decision::Whole);
    }

    #[test]
    fn what_has_no_validator_is_there_all_the_same() {
        let none = Validators { etag: None, modified: None };
        let decided = |name, text| decide(&Method::GET, &headers(&[(name, text)], ""), &none, NOW);
        assert_eq!(decided(header::IF_NONE_MATCH, "*"), Decision::NotModified);
        assert_eq!(decided(header::IF_NONE_MATCH, "\"a\""), Decision::Whole);
        assert_eq!(decided(header::IF_MATCH, "*"), Decision::Whole);
        assert_eq!(decided(header::IF_MODIFIED_SINCE, THEN), Decision::Whole);
    }
}
