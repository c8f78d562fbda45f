//! Bans: who does what it should not again and again is kept out for a while, and longer each time.
//!
//! Shared by all workers. Only offences come by the count of them, and only while somebody is banned does anybody else look here. Addresses count as
//! customers ([`customer`]). Who was banned is remembered for as long again, and forgotten when others are banned. Nothing is kept over a restart.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use http::StatusCode;

use super::access::Refusing;
use super::rate::{self, Algorithm, Limit, Limits};
use crate::http::{Network, customer};
use crate::names::Name;
use crate::telemetry::refusals::Refusals;
use crate::time::{self, Instant};

/// Bans at the same time, about 20 MB. Further ones are not made: whoever has so many addresses is not kept out by bans.
const BANS_MAX: usize = 100_000;
/// How often those are forgotten who have not been banned for long.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 256;

/// Who is banned, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// So many offences are too many; at least 1.
    pub after: u32,
    /// If they happen within this time.
    pub within: Duration,
    /// How long the first ban lasts. Each one that follows before as much time has passed again lasts twice as long.
    pub lasts: Duration,
    /// How long a ban lasts at most.
    pub lasts_max: Duration,
    /// The statuses of responses that are offences.
    pub statuses: Vec<StatusCode>,
    /// Who is never banned.
    pub never: Vec<Network>,
    /// How who is banned is refused.
    pub refusing: Refusing,
}

/// Why somebody is not banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// The operator has said so, of it or of one that counts together with it.
    #[error("this address is never banned (bans.never)")]
    Never,
    /// There are as many bans as there may be.
    #[error("{BANS_MAX} addresses are banned already")]
    Full,
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banned {
    /// Whose: an address, in IPv6 the first of its /64.
    pub address: IpAddr,
    /// Until when, as Unix time.
    pub until: Duration,
    /// Why, for people.
    pub reason: String,
    /// How many offences there were; 0 where somebody banned by hand.
    pub offences: u64,
    /// How often the address has been banned, this time included.
    pub times: u32,
}

#[derive(Debug)]
struct Ban {
    until: Instant,
    /// Until then the next ban lasts longer.
    remembered: Instant,
    reason: Box<str>,
    offences: u64,
    times: u32,
}

impl Ban {
    fn new(lasts: Duration, (reason, offences, times): (&str, u64, u32), now: Instant) -> Self {
        // A time beyond what the clock can say is one that nobody lives to see.
        let far = Duration::from_secs(10 * 365 * 24 * 60 * 60);
        let until = now.checked_add(lasts.min(far)).unwrap_or(now);
        let remembered = until.checked_add(lasts.min(far)).unwrap_or(until);
        let kept = reason.char_indices().map(|(at, _)| at).find(|at| *at >= REASON_BYTES_MAX).unwrap_or(reason.len());
        let reason = reason.get(..kept).unwrap_or_default().into();
        Self { until, remembered, reason, offences, times }
    }
}

/// What is in force.
#[derive(Debug, Clone)]
struct InForce {
    settings: Arc<Settings>,
    offences: Limit,
}

/// Everybody who is banned.
#[derive(Debug)]
pub struct Bans {
    in_force: RwLock<Option<InForce>>,
    limits: Limits,
    bans: DashMap<IpAddr, Ban>,
    /// Who was turned away lately, here or by address lists.
    pub turned_away: Refusals,
    /// How many there are in `bans`.
    held: AtomicUsize,
    /// The beginning of the times below.
    since: Instant,
    /// Microseconds after which no ban lasts, so that nobody has to look while there is none.
    latest: AtomicU64,
    /// Microseconds after which it is time to forget.
    sweep_at: AtomicU64,
}

impl Default for Bans {
    fn default() -> Self {
        Self {
            in_force: RwLock::default(),
            limits: Limits::default(),
            bans: DashMap::default(),
            turned_away: Refusals::default(),
            held: AtomicUsize::default(),
            since: time::now(),
            latest: AtomicU64::default(),
            sweep_at: AtomicU64::default(),
        }
    }
}

impl Bans {
    /// From now on this holds; none: nobody is banned for offences. Who is banned stays so.
    pub fn adopt(&self, settings: Option<&Arc<Settings>>) {
        // Our own words, which are a name.
        let Ok(owner) = "bans".parse::<Name>() else { return };
        let in_force = settings.map(|settings| InForce {
            settings: Arc::clone(settings),
            offences: self.limits.define(
                &owner,
                "offences",
                rate::Settings {
                    algorithm: Algorithm::SlidingWindow,
                    requests: u64::from(settings.after.max(1)),
                    window: settings.within,
                    burst: 1,
                },
            ),
        });
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    /// How much longer an address is banned, if it is.
    #[inline]
    pub fn left(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        if self.latest.load(Ordering::Relaxed) <= self.micros(now) {
            return None;
        }
        let ban = self.bans.get(&customer(address))?;
        Some(ban.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Notes an offence; one too many is a ban.
    pub fn offence(&self, address: IpAddr, now: Instant) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(InForce { settings, offences }) = in_force else { return };
        let address = customer(address);
        let key = address.to_string();
        let counted = offences.take(key.as_bytes(), 1, now);
        if (counted.allowed && counted.remaining > 0) || self.left(address, now).is_some() {
            return;
        }
        let reason = format!("{} offences within {} s", settings.after, settings.within.as_secs());
        let lasts = |times: u32| {
            let longer = settings.lasts.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX));
            longer.min(settings.lasts_max)
        };
        // Another worker may have seen one offence too many at the same moment; only one of them bans.
        let made = self.insert(address, now, |known| match known {
            Some(ban) if now < ban.until => None,
            known => {
                let times = known.map_or(0, |ban| ban.times);
                Some(Ban::new(lasts(times), (&reason, u64::from(settings.after), times + 1), now))
            }
        });
        if !matches!(made, Ok(None)) {
            // Those that led to this ban do not lead to the next one.
            offences.give_back(key.as_bytes(), u64::from(settings.after));
        }
        match made {
            Ok(None) => {}
            Ok(Some(times)) => {
                tracing::warn!(%address, seconds = lasts(times - 1).as_secs(), times, "banned: {reason}")
            }
            Err(BanError::Never) => tracing::debug!(%address, "would be banned: {reason}"),
            Err(error @ BanError::Full) => tracing::error!(%address, %error, "is not banned"),
        }
    }

    /// Bans an address by hand, instead of as it may have been banned already.
    pub fn ban(&self, address: IpAddr, lasts: Duration, reason: &str, now: Instant) -> Result<(), BanError> {
        let address = customer(address);
        self.insert(address, now, |known| {
            Some(Ban::new(lasts, (reason, 0, known.map_or(0, |ban| ban.times) + 1), now))
        })?;
        tracing::warn!(%address, seconds = lasts.as_secs(), "banned: {reason}");
        Ok(())
    }

    /// Ends a ban and forgets that there were any. Whether there was one.
    pub fn pardon(&self, address: IpAddr, now: Instant) -> bool {
        let Some((address, ban)) = self.bans.remove(&customer(address)) else { return false };
        self.held.fetch_sub(1, Ordering::Relaxed);
        if let Some(InForce { settings, offences }) = &*self.in_force.read().unwrap_or_else(PoisonError::into_inner) {
            offences.give_back(address.to_string().as_bytes(), u64::from(settings.after));
        }
        tracing::info!(%address, "pardoned");
        now < ban.until
    }

    /// All bans that last, those first that last longest.
    pub fn list(&self, now: Instant) -> Vec<Banned> {
        let unix = time::unix();
        let listed = |entry: dashmap::mapref::multiple::RefMulti<'_, IpAddr, Ban>| {
            let ban = entry.value();
            let left = ban.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
            let reason = ban.reason.to_string();
            let Ban { offences, times, .. } = *ban;
            Some(Banned { address: *entry.key(), until: unix + left, reason, offences, times })
        };
        let mut list: Vec<_> = self.bans.iter().filter_map(listed).collect();
        list.sort_by_key(|banned| (std::cmp::Reverse(banned.until), banned.address));
        list
    }

    /// Makes a ban, where `make` gives one for what is remembered of the address: how often it has been banned now.
    fn insert(
        &self,
        address: IpAddr,
        now: Instant,
        make: impl FnOnce(Option<&Ban>) -> Option<Ban>,
    ) -> Result<Option<u32>, BanError> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        if in_force.as_ref().is_some_and(|of| of.settings.never.iter().any(|network| network.touches(address))) {
            return Err(BanError::Never);
        }
        drop(in_force);
        let full = || self.held.load(Ordering::Relaxed) >= BANS_MAX;
        if full() || self.sweep_at.load(Ordering::Relaxed) <= self.micros(now) {
            self.sweep(now);
        }
        if full() {
            return Err(BanError::Full);
        }
        let entry = self.bans.entry(address);
        let known = match &entry {
            Entry::Occupied(entry) => Some(entry.get()).filter(|ban| now < ban.remembered),
            Entry::Vacant(_) => None,
        };
        let Some(ban) = make(known) else { return Ok(None) };
        let times = ban.times;
        self.latest.fetch_max(self.micros(ban.until), Ordering::Relaxed);
        if matches!(entry, Entry::Vacant(_)) {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
        entry.insert(ban);
        Ok(Some(times))
    }

    /// Microseconds since the beginning.
    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX)
    }

    /// Forgets who has not been banned for long.
    fn sweep(&self, now: Instant) {
        self.sweep_at.store(self.micros(now + SWEEP_EVERY), Ordering::Relaxed);
        self.bans.retain(|_, ban| {
            let kept = now < ban.remembered;
            if !kept {
                self.held.fetch_sub(1, Ordering::Relaxed);
            }
            kept
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
