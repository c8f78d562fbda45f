//! What the cache did, for clients and operators: `Cache-Status` (RFC 9211).

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::exchange::Failure;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why the handler was asked (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Forward {
    /// Something asked to go around the cache.
    Bypass,
    /// The method is not one that is answered from a cache.
    Method,
    /// Nothing was stored under the key.
    UriMiss,
    /// Only answers to other requests were.
    VaryMiss,
    /// The client did not want what was stored.
    Request,
    /// What was stored was stale.
    Stale,
    /// Only a part was stored.
    Partial,
}

impl Forward {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What came of asking the handler.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Came {
    /// Its status; none where it did not answer.
    pub(super) status: Option<StatusCode>,
    /// For how long what came is fresh, if it is stored.
    pub(super) stored: Option<Duration>,
    /// Whether the request waited for another.
    pub(super) collapsed: bool,
    /// What was used instead.
    pub(super) detail: Option<&'static str>,
}

/// Says that the response comes from the cache.
pub(super) fn hit(headers: &mut HeaderMap, ttl: Duration) {
    const START: &[u8] = b"portcullis; hit; ttl=";
    // Without formatting: every hit passes here.
    let mut text = [0; START.len() + 20];
    let (start, digits) = text.split_at_mut(START.len());
    start.copy_from_slice(START);
    let mut rest = ttl.as_secs();
    let count = rest.checked_ilog10().unwrap_or(0) as usize + 1;
    for digit in digits.iter_mut().take(count).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let text = text.get(..START.len() + count).unwrap_or(START);
    headers.append(CACHE_STATUS, HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("portcullis; hit")));
}

/// Says that the response comes from the cache although it is stale by so much; `detail`: by which mode, if that is why.
pub(super) fn stale_hit(headers: &mut HeaderMap, staleness: Duration, detail: Option<&'static str>) {
    let mut text = format!("portcullis; hit; ttl=-{}", staleness.as_secs());
    if let Some(detail) = detail {
        let _ = write!(text, "; detail={detail}");
    }
    add(headers, &text);
}

/// Says of a failure that the cache itself found that there is no answer.
pub(super) fn unanswered(failure: Failure) -> Failure {
    let text = format!("portcullis; detail={}", failure.reason.as_str());
    with(failure, &text)
}

/// Says of a failure that the handler was asked, and why.
pub(super) fn failed(failure: Failure, forward: Forward, came: Came) -> Failure {
    with(failure, &text(forward, came))
}

/// Says that the handler was asked, why, and what came of it.
pub(super) fn forwarded(headers: &mut HeaderMap, forward: Forward, came: Came) {
    add(headers, &text(forward, came));
}

fn text(forward: Forward, came: Came) -> String {
    let mut text = format!("portcullis; fwd={}", forward.as_str());
    // Writing to a String does not fail.
    if let Some(status) = came.status {
        let _ = write!(text, "; fwd-status={}", status.as_u16());
    }
    if let Some(ttl) = came.stored {
        let _ = write!(text, "; stored; ttl={}", ttl.as_secs());
    }
    if came.collapsed {
        text.push_str("; collapsed");
    }
    if let Some(detail) = came.detail {
        let _ = write!(text, "; detail={detail}");
    }
    text
}

fn with(failure: Failure, text: &str) -> Failure {
    match HeaderValue::try_from(text) {
        Ok(value) => failure.with(CACHE_STATUS, value),
        Err(_) => failure,
    }
}

fn add(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(CACHE_STATUS, value);
    }
}
