//! A stored response: prepared when it is stored, so that a hit copies as little as possible.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Admission;
use crate::exchange::Response;
use crate::http::Body;

/// What one stored field, and one stored response, takes besides its bytes: about the size of what holds them.
const FIELD_BYTES: usize = 96;
const RESPONSE_BYTES: usize = 512;

/// A response in the cache.
#[derive(Debug)]
pub struct Stored {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    tags: Box<[Box<str>]>,
    vary: Vary,
    stored_at: Instant,
    /// How old it was then.
    age: Duration,
    ttl: Duration,
}

/// The request fields that the response depends on, and what they were.
type Vary = Box<[(HeaderName, Option<HeaderValue>)]>;

/// A response that lacks its body.
#[derive(Debug)]
pub(super) struct Draft(Stored);

impl Draft {
    /// None for `Vary: *`: nothing that a request says would tell whether this suits it.
    pub(super) fn new(
        admission: Admission,
        request: &HeaderMap,
        status: StatusCode,
        headers: &HeaderMap,
        now: Instant,
    ) -> Option<Self> {
        let vary = vary(request, headers)?;
        let Admission { ttl, age, tags } = admission;
        let (tags, headers) = (tags.into(), compact(headers));
        Some(Self(Stored { status, headers, body: Bytes::new(), tags, vary, stored_at: now, age, ttl }))
    }

    pub(super) fn complete(self, body: Bytes) -> Stored {
        Stored { body, ..self.0 }
    }
}

impl Stored {
    /// The response, with its age. The body is shared, not copied.
    pub fn response(&self, now: Instant) -> Response {
        let mut headers = self.headers.clone();
        headers.insert(header::AGE, HeaderValue::from(self.age(now).as_secs()));
        Response { status: self.status, headers, body: Body::from(self.body.clone()) }
    }

    /// Its age (RFC 9111 section 4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.stored_at)
    }

    /// How much longer it is fresh.
    pub fn ttl(&self, now: Instant) -> Duration {
        self.ttl.saturating_sub(now.saturating_duration_since(self.stored_at))
    }

    /// The value of `Cache-Status` for a hit (RFC 9211): `portcullis; hit; ttl=59`.
    pub fn cache_status(&self, now: Instant) -> HeaderValue {
        const START: &[u8] = b"portcullis; hit; ttl=";
        let mut text = [0; START.len() + 20];
        let (start, digits) = text.split_at_mut(START.len());
        start.copy_from_slice(START);
        let mut rest = self.ttl(now).as_secs();
        let count = rest.checked_ilog10().unwrap_or(0) as usize + 1;
        for digit in digits.iter_mut().take(count).rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let text = text.get(..START.len() + count).unwrap_or(START);
        HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("portcullis; hit"))
    }

    /// The names under which it can be purged.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|tag| &**tag)
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.stored_at) < self.ttl
    }

    /// Whether it is the answer to a request with these fields, too.
    pub(super) fn suits(&self, request: &HeaderMap) -> bool {
        self.vary.iter().all(|(name, stored)| {
            let mut values = request.get_all(name).iter();
            match (values.next(), values.next()) {
                (value, None) => value == stored.as_ref(),
                _ => joined(request, name) == *stored,
            }
        })
    }

    pub(super) fn is_same_variant(&self, other: &Self) -> bool {
        self.vary == other.vary
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 16).sum();
        let vary: usize =
            self.vary.iter().map(|(_, value)| value.as_ref().map_or(0, HeaderValue::len) + FIELD_BYTES).sum();
        RESPONSE_BYTES + fields + tags + vary + self.body.len()
    }
}

/// The fields that `Vary` names with what the request says of each; none for `*`.
fn vary(request: &HeaderMap, response: &HeaderMap) -> Option<Vary> {
    let lines = response.get_all(header::VARY).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let fields = names.filter(|name| !name.is_empty()).map(|name| {
        // A name that is none cannot be compared, just as `*` cannot.
        let name = if name == b"*" { None } else { HeaderName::from_bytes(name).ok() }?;
        let value = joined(request, &name);
        Some((name, value))
    });
    let mut fields = fields.collect::<Option<Vec<_>>>()?;
    fields.sort_unstable_by(|(one, _), (two, _)| one.as_str().cmp(two.as_str()));
    fields.dedup();
    Some(fields.into())
}

/// All lines of a field as one, copied: the request's own memory goes with the request.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let mut all = values.next()?.as_bytes().to_vec();
    for value in values {
        all.extend_from_slice(b", ");
        all.extend_from_slice(value.as_bytes());
    }
    HeaderValue::from_bytes(&all).ok()
}

/// The fields in one piece of memory of their own. As they came, each is part of the connection's read buffer and would
/// keep all of it. `Age` is left out: it is written anew on every hit.
fn compact(headers: &HeaderMap) -> HeaderMap {
    let kept = || headers.iter().filter(|(name, _)| **name != header::AGE);
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
