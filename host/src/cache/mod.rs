//! The memory cache: what the handler gave, kept under a key.
//!
//! Bounded in bytes and shared by all workers. It keeps responses before any `post-handler` hook, so that per-request hooks
//! still run on a hit. [`policy`] says what may be kept, how long, and how it may be used; here that is only done.

mod convert;
pub mod envelope;
mod flights;
mod growing;
pub mod keep;
pub mod policy;
mod purges;
mod recording;
pub mod shared;
mod stored;
mod survey;
mod tally;
mod upkeep;
mod vary;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod flights_model_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod growing_model_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod purges_model_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderName};
use moka::Expiry;

use flights::Flights;
pub use flights::{Boarding, Landing, Lead};
pub use purges::{Marks, Mode, Selection};
use purges::{Purges, Standing};
pub use recording::Recording;
pub use shared::{Confirmed, Elsewhere, Lock};
pub use stored::{Stored, Trouble};
pub use survey::Listed;
pub use tally::{By, Outcome, Outcomes, Sort, Tally, expose};

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
    /// How it is shared with other instances, where there is a Redis; none: not at all.
    pub shared: Option<shared::Settings>,
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
            shared: Some(shared::Settings::default()),
            persist: None,
        }
    }
}

/// That a response is to be stored, and how: from [`policy::admission`] or from a plugin (`cache-admit`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// For how long from now it is fresh.
    pub ttl: Duration,
    /// How old it already is (RFC 9111 section 4.2.3).
    pub age: Duration,
    /// For how long it already is no longer fresh.
    pub late: Duration,
    /// How it may be used after that.
    pub stale: Stale,
    /// Whether it must be validated even while it is fresh (`no-cache`).
    pub validate: bool,
    /// A hit that finds it fresh for less than this lets it be fetched anew in the background; zero: never.
    pub refresh_ahead: Duration,
    /// Fields that are not stored.
    pub withheld: Vec<HeaderName>,
    /// Names under which it can be purged.
    pub tags: Vec<Box<str>>,
}

/// For how long after its freshness a response may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stale {
    /// While it is fetched anew (RFC 5861 section 3).
    pub while_revalidate: Duration,
    /// Instead of an answer that tells of an error (RFC 5861 section 4).
    pub if_error: Duration,
    /// Where there is no answer.
    pub if_unreachable: Duration,
    /// Whether it may never be used, whoever asks for it.
    pub forbidden: bool,
}

impl Stale {
    fn longest(&self) -> Duration {
        self.while_revalidate.max(self.if_error).max(self.if_unreachable)
    }
}

/// Most responses under one key that differ by `Vary`. The oldest goes first: without a limit, a `Vary: user-agent` would
/// let anyone fill an entry without end, and every lookup walks through it.
const VARIANTS_MAX: usize = 8;

/// The cache. A clone is another handle to the same.
#[derive(Clone)]
pub struct Cache {
    entries: moka::sync::Cache<Box<str>, Arc<Entry>>,
    purges: Arc<Purges>,
    flights: Flights,
    tally: Arc<Tally>,
    object_bytes_max: u64,
    shared: Option<shared::Shared>,
}

/// What is stored under one key, oldest first.
#[derive(Debug)]
struct Entry {
    variants: Vec<Arc<Stored>>,
    /// How long the one that is good for longest is, counted from when the entry was made.
    keep_for: Duration,
}

struct UntilUseless;

impl Expiry<Box<str>, Arc<Entry>> for UntilUseless {
    fn expire_after_create(&self, _: &Box<str>, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.keep_for)
    }

    fn expire_after_update(
        &self,
        _: &Box<str>,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.keep_for)
    }
}

/// What is stored for a request.
#[derive(Debug)]
pub enum Found {
    /// This; it may be stale.
    Stored(Arc<Stored>),
    /// Only answers to requests that differ in what `Vary` names.
    OtherVariants,
    /// Nothing.
    Nothing,
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
            .expire_after(UntilUseless)
            .build();
        // moka weighs in 32 bits; a body that does not fit would be counted as less than it is.
        let object_bytes_max = settings.object_bytes_max.min(u64::from(u32::MAX / 2));
        let (purges, flights) = (Arc::new(Purges::new()), Flights::new());
        Self { entries, purges, flights, tally: Arc::default(), object_bytes_max, shared: None }
    }

    /// The newest response stored under `key` that suits the request's fields (`Vary`, RFC 9111 section 4.1) and was not purged.
    pub fn find(&self, key: &str, request: &HeaderMap, now: Instant) -> Found {
        let Some(entry) = self.entries.get(key) else { return Found::Nothing };
        let there =
            |stored: &&Arc<Stored>| self.stands(key, stored) && stored.is_usable() && !stored.keep_for(now).is_zero();
        let mut others = false;
        for stored in entry.variants.iter().rev().filter(there) {
            if stored.suits(request) {
                stored.hits.fetch_add(1, Ordering::Relaxed);
                return Found::Stored(Arc::clone(stored));
            }
            others = true;
        }
        if others { Found::OtherVariants } else { Found::Nothing }
    }

    /// The number of the last purge. What is asked for from now on is not meant by it.
    pub fn sequence(&self) -> u64 {
        self.purges.sequence()
    }

    /// Asks who fetches what is stored under a key.
    pub fn board(&self, key: &str, now: Instant) -> Boarding {
        self.flights.board(key, now)
    }

    /// Whether somebody fetches what is stored under a key.
    pub fn is_underway(&self, key: &str) -> bool {
        self.flights.is_underway(key)
    }

    /// Stores a response that is at hand, here and for other instances. `lock` is held until they can find it.
    pub fn insert(&self, key: &str, stored: Arc<Stored>, lock: Option<Lock>) {
        self.keep(key, &stored);
        if let Some(shared) = &self.shared
            && stored.whole().is_some()
            && let Ok(worker) = tokio::runtime::Handle::try_current()
        {
            let (shared, key) = (shared.clone(), Box::<str>::from(key));
            worker.spawn(async move {
                shared.write(&key, &stored).await;
                drop(lock);
            });
        }
    }

    /// Whether no purge means a response.
    fn stands(&self, key: &str, stored: &Stored) -> bool {
        self.purges.judge(stored, key) == Standing::There
    }

    /// Stores a response in memory.
    fn keep(&self, key: &str, stored: &Arc<Stored>) {
        let now = crate::time::now();
        let is_there = |known: &Stored| self.stands(key, known) && known.is_usable() && !known.keep_for(now).is_zero();
        self.entries.entry(key.into()).and_upsert_with(|old| {
            let old = old.map(moka::Entry::into_value);
            let known = old.iter().flat_map(|entry| &entry.variants);
            // What was asked for after a purge is not replaced by what was asked for before it and came later.
            let newer = known
                .clone()
                .any(|known| known.is_same_variant(stored) && known.sequence > stored.sequence && is_there(known));
            let kept =
                |known: &&Arc<Stored>| !known.keep_for(now).is_zero() && (newer || !known.is_same_variant(stored));
            let mut variants: Vec<_> = known.filter(kept).cloned().collect();
            if !newer {
                variants.drain(..variants.len().saturating_sub(VARIANTS_MAX - 1));
                variants.push(Arc::clone(stored));
            }
            Arc::new(Entry::new(variants, now))
        });
    }

    /// Takes one response out, if it is still there.
    pub fn take_out(&self, key: &str, stored: &Arc<Stored>) {
        let now = crate::time::now();
        self.entries.entry(key.into()).and_compute_with(|old| match old.map(moka::Entry::into_value) {
            None => moka::ops::compute::Op::Nop,
            Some(entry) => {
                let others = entry.variants.iter().filter(|known| !Arc::ptr_eq(known, stored)).cloned();
                let others: Vec<_> = others.collect();
                match others.len() {
                    0 => moka::ops::compute::Op::Remove,
                    count if count == entry.variants.len() => moka::ops::compute::Op::Nop,
                    _ => moka::ops::compute::Op::Put(Arc::new(Entry::new(others, now))),
                }
            }
        });
    }

    /// Purges: nothing that was asked for before is used here once this has returned. The other instances are told; whoever wants to know
    /// when they have heard asks [`Self::purge_everywhere`] instead.
    pub fn purge(&self, selection: &Selection, mode: Mode) -> u64 {
        self.purge_and_tell(selection, mode).0
    }

    /// Purges, and waits until the other instances have heard of it, for a few seconds at most.
    pub async fn purge_everywhere(&self, selection: &Selection, mode: Mode) -> (u64, Confirmed) {
        let (number, told) = self.purge_and_tell(selection, mode);
        let confirmed = match told {
            None if self.shared.is_none() => Confirmed::All,
            None => Confirmed::Later,
            Some(told) => told.await.unwrap_or(Confirmed::Later),
        };
        (number, confirmed)
    }

    fn purge_and_tell(
        &self,
        selection: &Selection,
        mode: Mode,
    ) -> (u64, Option<tokio::sync::oneshot::Receiver<Confirmed>>) {
        let number = self.purges.add(selection, mode, None);
        self.sweep_aside();
        (number, self.shared.as_ref().and_then(|shared| shared.spread(selection, mode, number)))
    }
}

impl Entry {
    fn new(variants: Vec<Arc<Stored>>, now: Instant) -> Self {
        let keep_for = variants.iter().map(|stored| stored.keep_for(now)).max().unwrap_or_default();
        Self { variants, keep_for }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("entries", &self.entries.entry_count()).finish_non_exhaustive()
    }
}
