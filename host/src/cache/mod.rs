//! The memory cache: what the handler gave, kept under a key for as long as it is fresh.
//!
//! Bounded in bytes and shared by all workers. It keeps responses before any `post-handler` hook, so that per-request hooks
//! still run on a hit. [`policy`] says what may be kept and how long; here that is only done.

pub mod envelope;
pub mod keep;
pub mod policy;
mod recorder;
mod stored;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use moka::Expiry;

use crate::exchange::Response;
use crate::http::{Body, parse_length};

pub use stored::Stored;

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of all stored responses together, heads and keys included.
    pub memory_bytes_max: u64,
    /// A response with a longer body is passed through and not stored.
    pub object_bytes_max: u64,
    /// Stored responses with more bytes are compressed before they leave the process.
    pub compress_above_bytes: u64,
    /// With what they are encrypted before they leave the process; none: not at all.
    pub encryption: Option<envelope::Keys>,
    /// The file in which the memory cache outlives a restart; none: it does not.
    pub persist: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 * 1024 * 1024,
            object_bytes_max: 8 * 1024 * 1024,
            compress_above_bytes: 4096,
            encryption: None,
            persist: None,
        }
    }
}

/// That a response is to be stored, and how: from [`policy::freshness`] or from a plugin (`cache-admit`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// For how long from now it is fresh.
    pub ttl: Duration,
    /// How old it already is (RFC 9111 section 4.2.3).
    pub age: Duration,
    /// Names under which it can be purged.
    pub tags: Vec<Box<str>>,
}

/// Most responses under one key that differ by `Vary`. The oldest goes first: without a limit, a `Vary: user-agent` would
/// let anyone fill an entry without end, and every lookup walks through it.
const VARIANTS_MAX: usize = 8;

/// The cache. A clone is another handle to the same.
#[derive(Clone)]
pub struct Cache {
    entries: moka::sync::Cache<Box<str>, Arc<Entry>>,
    object_bytes_max: u64,
}

/// What is stored under one key, oldest first.
#[derive(Debug)]
struct Entry {
    variants: Vec<Arc<Stored>>,
    /// How long the one that stays fresh longest does, counted from when the entry was made.
    fresh_for: Duration,
}

struct UntilStale;

impl Expiry<Box<str>, Arc<Entry>> for UntilStale {
    fn expire_after_create(&self, _: &Box<str>, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.fresh_for)
    }

    fn expire_after_update(
        &self,
        _: &Box<str>,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.fresh_for)
    }
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: &Settings) -> Self {
        #[allow(clippy::borrowed_box, reason = "the signature is moka's")]
        let weigh = |key: &Box<str>, entry: &Arc<Entry>| {
            let bytes: usize = entry.variants.iter().map(|stored| stored.memory_bytes()).sum();
            u32::try_from(key.len() + bytes).unwrap_or(u32::MAX)
        };
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.memory_bytes_max)
            .weigher(weigh)
            .expire_after(UntilStale)
            .build();
        // moka weighs in 32 bits; a body that does not fit would be counted as less than it is.
        Self { entries, object_bytes_max: settings.object_bytes_max.min(u64::from(u32::MAX / 2)) }
    }

    /// The fresh response stored under `key` that suits the request's fields (`Vary`, RFC 9111 section 4.1).
    pub fn lookup(&self, key: &str, request: &HeaderMap, now: Instant) -> Option<Arc<Stored>> {
        let entry = self.entries.get(key)?;
        entry.variants.iter().rev().find(|stored| stored.is_fresh(now) && stored.suits(request)).map(Arc::clone)
    }

    /// Stores a response while it goes by. Gives it back with a body that collects what is read from it; when the body is
    /// complete, and as long as `Content-Length` says if it says, the response is in the cache. One that is too long, that
    /// breaks off, or that is not read to its end is not stored. `now` is when the response head came.
    ///
    /// Refuses what no cache may store, whoever says so: partial and not-modified responses, and `Vary: *`.
    pub fn record(
        &self,
        key: &str,
        admission: Admission,
        request: &HeaderMap,
        mut response: Response,
        now: Instant,
    ) -> Response {
        let whole = !matches!(response.status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
        let declared = response.headers.get(http::header::CONTENT_LENGTH);
        let declared = declared.map(|length| parse_length(length.as_bytes()).unwrap_or(u64::MAX));
        let length = declared.unwrap_or(0).max(response.body.size_hint().lower());
        if !whole || admission.ttl.is_zero() || length > self.object_bytes_max {
            return response;
        }
        let Some(draft) = stored::Draft::new(admission, request, response.status, &response.headers, now) else {
            return response;
        };
        let recorder = recorder::Recorder::new(self.clone(), key.into(), draft, declared);
        response.body = match std::mem::take(&mut response.body) {
            Body::Empty => {
                recorder.finish();
                Body::Empty
            }
            Body::Full(bytes) => {
                recorder.finish_with(&bytes);
                Body::Full(bytes)
            }
            body => recorder.follow(body),
        };
        response
    }

    fn insert(&self, key: Box<str>, stored: Stored) {
        let (stored, now) = (Arc::new(stored), crate::time::now());
        self.entries.entry(key).and_upsert_with(|old| {
            let old = old.map(moka::Entry::into_value);
            let known = old.iter().flat_map(|entry| &entry.variants);
            let mut variants: Vec<_> =
                known.filter(|known| known.is_fresh(now) && !known.is_same_variant(&stored)).cloned().collect();
            variants.drain(..variants.len().saturating_sub(VARIANTS_MAX - 1));
            variants.push(stored);
            let fresh_for = variants.iter().map(|stored| stored.ttl(now)).max().unwrap_or_default();
            Arc::new(Entry { variants, fresh_for })
        });
    }

    /// How many keys there are, and how many bytes they hold. Nearly: moka counts in the background.
    pub fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("entries", &self.entries.entry_count()).finish_non_exhaustive()
    }
}
