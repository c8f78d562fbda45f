//! A stored response: prepared when it is stored, so that a hit copies as little as possible.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::growing::Growing;
use super::policy::Facts;
use super::purges::Marks;
use super::vary::{self, Vary};
use super::{Admission, Stale};
use crate::exchange::Response;
use crate::http::Body;
use crate::modes;

/// What one stored field, and one stored response, takes besides its bytes: about the size of what holds them.
const FIELD_BYTES: usize = 96;
const RESPONSE_BYTES: usize = 640;

/// For how long something is kept that can be validated, after it can no longer be used without. The memory limits it, too.
const KEEP: Duration = Duration::from_secs(60 * 60);

/// Fields of a stored response that its validation leaves alone: they speak of the bytes that are stored (RFC 9111 section 3.2), and the
/// tag is what it was validated by.
const KEPT: [HeaderName; 5] =
    [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::CONTENT_RANGE, header::ETAG, header::TRANSFER_ENCODING];

/// A response in the cache.
#[derive(Debug)]
pub struct Stored {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    pub(super) vary: Vary,
    /// What purges go by.
    pub(super) marks: Arc<Marks>,
    pub(super) received: Instant,
    /// How old it was then.
    pub(super) age: Duration,
    /// For how long it was fresh then.
    pub(super) ttl: Duration,
    pub(super) stale: Stale,
    pub(super) validate: bool,
    pub(super) refresh_ahead: Duration,
    /// Of the purges, the last that was there when it was asked for.
    pub(super) sequence: u64,
    /// Of the purges, the last that it was compared with.
    pub(super) checked: AtomicU64,
    /// Whether one of them took its freshness.
    pub(super) softened: AtomicBool,
    /// How often it was found.
    pub(super) hits: AtomicU32,
}

/// The body of a stored response.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// All of it.
    Whole(Bytes),
    /// A part (RFC 9111 section 3.4).
    Part {
        /// Where it begins.
        first: u64,
        /// It.
        bytes: Bytes,
        /// How long all of it is.
        size: u64,
    },
    /// It is on its way.
    Growing(Arc<Growing>),
}

impl Content {
    fn memory_bytes(&self) -> usize {
        match self {
            Self::Whole(bytes) | Self::Part { bytes, .. } => bytes.len(),
            Self::Growing(growing) => growing.expected_bytes(),
        }
    }
}

impl Stored {
    /// A stored response without its body; none for `Vary: *`: nothing that a request says would tell whether it suits.
    pub(super) fn new(
        admission: Admission,
        request: &HeaderMap,
        status: StatusCode,
        headers: &HeaderMap,
        (marks, sequence): (Arc<Marks>, u64),
        now: Instant,
    ) -> Option<Self> {
        let vary = vary::vary(request, headers)?;
        let Admission { ttl, age, late, stale, validate, refresh_ahead, withheld, .. } = admission;
        // Who came stale has been so for some time, and windows count from when it began. What can only be validated is kept nevertheless.
        let late = late.min(age).min(stale.longest().max(KEEP / 2));
        let (received, age) = match now.checked_sub(late) {
            Some(received) => (received, age.saturating_sub(late)),
            None => (now, age),
        };
        Some(Self {
            status,
            headers: compact(headers, &withheld),
            content: Content::Whole(Bytes::new()),
            vary,
            marks,
            received,
            age,
            ttl,
            stale,
            validate,
            refresh_ahead,
            sequence,
            checked: AtomicU64::new(sequence),
            softened: AtomicBool::new(false),
            hits: AtomicU32::new(0),
        })
    }

    /// The same with this body.
    pub(super) fn with(&self, content: Content) -> Self {
        Self {
            status: self.status,
            headers: self.headers.clone(),
            content,
            vary: self.vary.clone(),
            marks: Arc::clone(&self.marks),
            received: self.received,
            age: self.age,
            ttl: self.ttl,
            stale: self.stale,
            validate: self.validate,
            refresh_ahead: self.refresh_ahead,
            sequence: self.sequence,
            checked: AtomicU64::new(self.sequence),
            softened: AtomicBool::new(false),
            hits: AtomicU32::new(self.hits.load(Ordering::Relaxed)),
        }
    }

    /// The response, with its age. The body is shared, not copied. Of a part, what there is of it.
    pub fn response(&self, now: Instant) -> Response {
        let mut headers = self.headers.clone();
        headers.insert(header::AGE, HeaderValue::from(self.age(now).as_secs()));
        let body = match &self.content {
            Content::Whole(bytes) | Content::Part { bytes, .. } => Body::from(bytes.clone()),
            Content::Growing(growing) => growing.follow(),
        };
        Response { status: self.status, headers, body }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The whole body, where it is at hand.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Part { .. } | Content::Growing(_) => None,
        }
    }

    /// The part that is stored, where only a part is: where it begins, its bytes, and how long the whole is.
    pub fn part(&self) -> Option<(u64, &Bytes, u64)> {
        match &self.content {
            Content::Part { first, bytes, size } => Some((*first, bytes, *size)),
            Content::Whole(_) | Content::Growing(_) => None,
        }
    }

    /// Its age (RFC 9111 section 4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.received)
    }

    /// How much longer it is fresh.
    pub fn ttl(&self, now: Instant) -> Duration {
        if self.softened.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.ttl.saturating_sub(now.saturating_duration_since(self.received))
    }

    /// What decides how it may be used.
    pub fn facts(&self, now: Instant) -> Facts {
        Facts {
            age: self.age(now),
            ttl: self.ttl(now),
            staleness: self.staleness(now),
            validate: self.validate,
            stale_forbidden: self.stale.forbidden,
            while_revalidate: self.stale.while_revalidate,
        }
    }

    /// Whether it may be used instead of an error answer; `unreachable` instead of none at all.
    pub fn replaces_error(&self, now: Instant, failure: Trouble) -> bool {
        let window = match failure {
            Trouble::Answer => self.stale.if_error,
            Trouble::NoAnswer => self.stale.if_unreachable,
        };
        !self.stale.forbidden && !self.validate && self.staleness(now) < window
    }

    /// Whether it should be fetched anew although it is fresh.
    pub fn wants_refresh(&self, now: Instant) -> bool {
        !self.refresh_ahead.is_zero() && self.ttl(now) < self.refresh_ahead
    }

    /// The names under which it can be purged.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.marks.tags.iter().map(|tag| &**tag)
    }

    /// For how long it has been stale.
    fn staleness(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received).saturating_sub(self.ttl)
    }

    /// How much longer it may be good for something.
    pub(super) fn keep_for(&self, now: Instant) -> Duration {
        let has_validator = self.headers.contains_key(header::ETAG) || self.headers.contains_key(header::LAST_MODIFIED);
        let usable_stale = !self.stale.forbidden && !self.validate;
        let for_modes = if usable_stale { modes::switch().stale_kept() } else { Duration::ZERO };
        let validated = if has_validator { KEEP } else { Duration::ZERO };
        let longest = self.stale.longest().max(validated).max(for_modes);
        (self.ttl + longest).saturating_sub(now.saturating_duration_since(self.received))
    }

    /// Whether it is the answer to a request with these fields, too.
    pub(super) fn suits(&self, request: &HeaderMap) -> bool {
        vary::suits(&self.vary, &self.headers, request)
    }

    pub(super) fn is_same_variant(&self, other: &Self) -> bool {
        self.vary == other.vary
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        let vary: usize =
            self.vary.iter().map(|(_, value)| value.as_ref().map_or(0, HeaderValue::len) + FIELD_BYTES).sum();
        RESPONSE_BYTES + fields + self.marks.memory_bytes() + vary + self.content.memory_bytes()
    }

    /// Its fields after it was validated by an answer with those (RFC 9111 section 4.3.4). Its age begins anew.
    pub fn updated(&self, by: &HeaderMap, date: HeaderValue) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(header::DATE, date);
        for name in by.keys().filter(|name| !KEPT.contains(name) && *name != "content-md5") {
            headers.remove(name);
            headers.extend(by.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        }
        headers
    }

    /// The same body, admitted anew with these fields.
    pub fn renewed(
        &self,
        mut admission: Admission,
        request: &HeaderMap,
        headers: &HeaderMap,
        (url, namespace, sequence): (&str, &str, u64),
        now: Instant,
    ) -> Option<Self> {
        let tags = std::mem::take(&mut admission.tags);
        let marks = Arc::new(Marks::new(url.into(), namespace.into(), tags));
        let renewed = Self::new(admission, request, self.status, headers, (marks, sequence), now)?;
        Some(renewed.with(self.content.clone()))
    }

    /// Whether a not-modified answer with these fields can mean this: a strong tag in it is the one that is stored (RFC 9111
    /// section 4.3.4).
    pub fn is_meant_by(&self, answer: &HeaderMap) -> bool {
        let opaque = |tag: &HeaderValue| tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes()).to_vec();
        match (answer.get(header::ETAG), self.headers.get(header::ETAG)) {
            (Some(told), Some(known)) if told.as_bytes().starts_with(b"\"") => opaque(told) == opaque(known),
            _ => true,
        }
    }

    /// Whether an answer to HEAD with these fields speaks of the same version (RFC 9111 section 4.3.5).
    pub fn is_same_version(&self, other: &HeaderMap) -> bool {
        [header::ETAG, header::LAST_MODIFIED, header::CONTENT_LENGTH]
            .iter()
            .all(|name| other.get(name).is_none_or(|value| self.headers.get(name).is_none_or(|known| known == value)))
    }

    /// Whether its bytes can be trusted to be those of anything with the same tag (RFC 9110 section 8.8.1).
    pub fn strong_tag(&self) -> Option<&HeaderValue> {
        self.headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
    }

    /// Whether it can be answered with.
    pub(super) fn is_usable(&self) -> bool {
        match &self.content {
            Content::Whole(_) | Content::Part { .. } => true,
            Content::Growing(growing) => growing.can_be_joined(),
        }
    }
}

/// What a stored response is used instead of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An answer that tells of an error.
    Answer,
    /// No answer.
    NoAnswer,
}

/// The fields in one piece of memory of their own. As they came, each is part of the connection's read buffer and would
/// keep all of it. `Age` is left out: it is written anew on every hit.
fn compact(headers: &HeaderMap, withheld: &[HeaderName]) -> HeaderMap {
    let kept = || headers.iter().filter(|(name, _)| **name != header::AGE && !withheld.contains(name));
    let mut memory = BytesMut::with_capacity(kept().map(|(_, value)| value.len()).sum());
    for (_, value) in kept() {
        memory.extend_from_slice(value.as_bytes());
    }
    let mut memory = memory.freeze();
    let mut compact = HeaderMap::with_capacity(headers.len());
    for (name, value) in kept() {
        let bytes = memory.split_to(value.len());
        // What was a field value is one again.
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(bytes) {
            copy.set_sensitive(value.is_sensitive());
            compact.append(name, copy);
        }
    }
    compact
}
