//! The second tier: what instances share through Redis, and how they agree on what is purged.
//!
//! A response that is stored here is written there; who misses here looks there before the upstream is asked, and one instance fetches for
//! all. Redis slow or gone is a miss. Invariant: nothing is taken from there that a purge meant which any instance has confirmed.

mod coherence;
mod members;
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::envelope::{Envelope, Record};
use super::purges::Purges;
use super::stored::Stored;
use super::vary;
use super::{Cache, Mode, Selection};
use crate::redis::Redis;
use crate::time;

pub use coherence::Spread;

/// What instances agree by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For how long an instance that hears nothing of the others trusts what it has. Purges that it has not confirmed are not complete
    /// until then.
    pub lease: Duration,
    /// What an instance does after that.
    pub cut_off: CutOff,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), cut_off: CutOff::Validate }
    }
}

/// What an instance does that has heard nothing of the others for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutOff {
    /// It validates what it has before it is used.
    Validate,
    /// It uses it, although it may have been purged elsewhere.
    Serve,
}

/// In a record: there are variants, and this is only what they vary by.
const POINTER: u32 = 1 << 31;

/// Bytes over which a record is sealed and opened beside the worker.
const BESIDE_BYTES: usize = 64 * 1024;

/// The second tier.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    redis: Redis,
    envelope: Arc<Envelope>,
    settings: Settings,
    standing: Arc<Standing>,
    spread: tokio::sync::mpsc::Sender<Spread>,
}

/// How this instance stands to the others.
#[derive(Debug)]
struct Standing {
    /// When the process began to count.
    epoch: Instant,
    /// Until when what is in memory can be trusted, in milliseconds since then.
    trusted_until: AtomicU64,
    /// Whether all purges are known: then what comes from Redis can be trusted. 1 or 0.
    in_step: AtomicU64,
}

impl Standing {
    fn new(lease: Duration) -> Self {
        let standing = Self { epoch: time::now(), trusted_until: AtomicU64::default(), in_step: AtomicU64::default() };
        standing.trust(standing.epoch + lease);
        standing
    }

    fn trust(&self, until: Instant) {
        let until = until.saturating_duration_since(self.epoch).as_millis();
        self.trusted_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn is_trusted(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.epoch).as_millis();
        now < u128::from(self.trusted_until.load(Ordering::Acquire))
    }

    fn keep_step(&self, yes: bool) {
        self.in_step.store(u64::from(yes), Ordering::Release);
    }

    fn is_in_step(&self) -> bool {
        self.in_step.load(Ordering::Acquire) == 1
    }
}

impl Shared {
    /// Joins the instances that share a Redis.
    pub(super) fn join(
        redis: Redis,
        envelope: Envelope,
        settings: Settings,
        purges: &Arc<Purges>,
    ) -> std::io::Result<Self> {
        let standing = Arc::new(Standing::new(settings.lease));
        let spread = coherence::start(redis.clone(), settings, Arc::clone(purges), Arc::clone(&standing))?;
        Ok(Self { redis, envelope: Arc::new(envelope), settings, standing, spread })
    }

    /// Whether what is in memory may have been purged elsewhere without our knowing.
    pub(super) fn is_cut_off(&self, now: Instant) -> bool {
        self.settings.cut_off == CutOff::Validate && !self.standing.is_trusted(now)
    }

    /// Tells the other instances of a purge. Gives what tells when they know; none where too many wait already.
    pub(super) fn spread(
        &self,
        selection: &Selection,
        mode: Mode,
        number: u64,
    ) -> Option<tokio::sync::oneshot::Receiver<Confirmed>> {
        let (done, confirmed) = tokio::sync::oneshot::channel();
        let spread = Spread { selection: selection.clone(), mode, number, done };
        self.spread.try_send(spread).ok().map(|()| confirmed)
    }

    /// The response that another instance has stored.
    pub(super) async fn look_up(&self, key: &str, request: &HeaderMap) -> Option<Stored> {
        if !self.standing.is_in_step() {
            return None;
        }
        let record = self.read(key, place(key, None)).await?;
        let record = if record.flags & POINTER == 0 {
            record
        } else {
            let names = record.vary.iter().map(|(name, _)| name);
            let values: Vec<_> = names.map(|name| (name.clone(), vary::normalised(request, name))).collect();
            self.read(key, place(key, Some(&values))).await?
        };
        // A purge may have come in between.
        self.standing.is_in_step().then(|| Stored::of_record(record, time::now(), time::unix()))
    }

    async fn read(&self, key: &str, place: Vec<u8>) -> Option<Record> {
        let sealed = self.redis.get(&place).await.ok()??;
        // Unshared, so that it is opened where it is.
        let record = if sealed.len() > BESIDE_BYTES {
            let envelope = Arc::clone(&self.envelope);
            tokio::task::spawn_blocking(move || envelope.open(&place, sealed)).await.ok()?
        } else {
            self.envelope.open(&place, sealed)
        };
        match record {
            Ok(record) => (*record.key == *key).then_some(record),
            Err(error) => {
                tracing::debug!(%error, "a response in Redis cannot be used");
                None
            }
        }
    }

    /// Stores a response for the other instances.
    pub(super) async fn write(&self, key: &str, stored: &Stored) {
        let (now, unix) = (time::now(), time::unix());
        let keep = stored.keep_for(now);
        let Some(record) = stored.record(key, now, unix).filter(|_| self.standing.is_in_step() && !keep.is_zero())
        else {
            return;
        };
        if !record.vary.is_empty() {
            let vary: Vec<(HeaderName, Option<HeaderValue>)> =
                record.vary.iter().map(|(name, _)| (name.clone(), None)).collect();
            let pointer =
                Record { vary, flags: POINTER, body: Bytes::new(), headers: HeaderMap::new(), ..record.clone() };
            self.put(place(key, None), pointer, keep).await;
            self.put(place(key, Some(&record.vary)), record, keep).await;
        } else {
            self.put(place(key, None), record, keep).await;
        }
    }

    async fn put(&self, place: Vec<u8>, record: Record, keep: Duration) {
        let sealed = if record.body.len() > BESIDE_BYTES {
            let (envelope, at) = (Arc::clone(&self.envelope), place.clone());
            match tokio::task::spawn_blocking(move || envelope.seal(&at, &record)).await {
                Ok(sealed) => sealed,
                Err(_) => return,
            }
        } else {
            self.envelope.seal(&place, &record)
        };
        // What does not fit or cannot be reached is not shared; the link counts why.
        if let Ok(sealed) = sealed {
            let _ = self.redis.set(&place, &sealed, keep).await;
        }
    }

    /// Takes the right to fetch something for all instances. None: another has it.
    pub(super) async fn lock(&self, key: &str, longest: Duration) -> Option<Lock> {
        let place = [b"lock:", place(key, None).as_slice()].concat();
        let mut token = [0; 8];
        if aws_lc_rs::rand::fill(&mut token).is_err() {
            return Some(Lock(None));
        }
        let token = u64::from_le_bytes(token);
        match self.redis.lock(&place, token, longest).await {
            Ok(true) => Some(Lock(Some((self.redis.clone(), place, token)))),
            Ok(false) => None,
            // Without Redis everybody fetches alone.
            Err(_) => Some(Lock(None)),
        }
    }
}

/// Whether the others know of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// All of them.
    All,
    /// Not all of them have said so yet; they will use nothing of it once they do.
    Pending,
    /// Redis does not answer. They will be told when it does.
    Later,
}

/// The right to fetch something for all instances. Dropped, it is given back.
#[derive(Debug)]
pub struct Lock(Option<(Redis, Vec<u8>, u64)>);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((redis, place, token)) = self.0.take() {
            // It would end by itself, only later.
            if let Ok(worker) = tokio::runtime::Handle::try_current() {
                worker.spawn(async move { drop(redis.unlock(&place, token).await) });
            }
        }
    }
}

/// Where a response is in Redis: the key, and what it varies by, as a digest.
fn place(key: &str, vary: Option<&[(HeaderName, Option<HeaderValue>)]>) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key.as_bytes());
    for (name, value) in vary.into_iter().flatten() {
        context.update(b"\0\0");
        context.update(name.as_str().as_bytes());
        context.update(if value.is_some() { b"\0=" } else { b"\0-" });
        context.update(value.as_ref().map_or(&[][..], HeaderValue::as_bytes));
    }
    let mut place = b"cache:".to_vec();
    for byte in context.finish().as_ref().iter().take(16) {
        place.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    place
}

impl Cache {
    /// Shares what is stored with the other instances of a Redis, from now on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn share(&mut self, redis: Redis, envelope: Envelope, settings: Settings) -> std::io::Result<()> {
        self.shared = Some(Shared::join(redis, envelope, settings, &self.purges)?);
        Ok(())
    }

    /// Whether what is stored may have been purged by another instance without our knowing.
    pub fn is_cut_off(&self, now: Instant) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_cut_off(now))
    }

    /// Looks for a response that another instance has stored, and waits for one that it fetches, but no longer than `longest`.
    /// What is found is in memory then.
    pub async fn look_elsewhere(&self, key: &str, request: &HeaderMap, longest: Duration) -> Elsewhere {
        let Some(shared) = &self.shared else { return Elsewhere::Nothing(None) };
        let deadline = time::now() + longest;
        let mut pause = Duration::from_millis(10);
        loop {
            if self.fetch_shared(shared, key, request).await {
                return Elsewhere::Found;
            }
            match shared.lock(key, longest).await {
                // Who had the right before us may have stored something and given it back since we looked.
                Some(_) if self.fetch_shared(shared, key, request).await => return Elsewhere::Found,
                Some(lock) => return Elsewhere::Nothing(Some(lock)),
                None if time::now() + pause >= deadline => return Elsewhere::Nothing(None),
                None => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Takes what another instance has stored into memory. Whether there was something that may be used.
    async fn fetch_shared(&self, shared: &Shared, key: &str, request: &HeaderMap) -> bool {
        let Some(stored) = shared.look_up(key, request).await else { return false };
        let stored = Arc::new(stored);
        let usable = !stored.ttl(time::now()).is_zero() && self.stands(key, &stored);
        if usable {
            self.keep(key, &stored);
        }
        usable
    }
}

/// What other instances have.
#[derive(Debug)]
pub enum Elsewhere {
    /// It is in memory now.
    Found,
    /// Nothing; perhaps the right to fetch it for all.
    Nothing(Option<Lock>),
}
