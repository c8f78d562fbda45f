//! The endpoints of one upstream as one worker sees them, and the choice among them.
//!
//! Immutable but for its counters: another configuration or another address makes another fleet, which takes over the
//! [`Standing`] of every endpoint that stays. Requests under way finish on the fleet that they began with.

mod standing;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode};

use super::balance::{
    Candidate, Dice, Digest, Duty, HashBy, Key, Policy, cheaper, cookie, least_busy, random, rendezvous, smooth, two,
};
use super::guard::Queue;
use super::health::{Board, Site, initially};
use super::pool::{Limits, Pool};
use super::{Settings, UpstreamError};
use crate::exchange::{Client, Request};
use crate::telemetry::times::nanoseconds;
use crate::time::{self, Instant};

pub use standing::Ejection;
pub(super) use standing::Standing;

/// Least latency that a failure counts as, so that failing quickly does not look like answering quickly.
const FAILURE_LATENCY: Duration = Duration::from_secs(1);

/// An endpoint and its part in the load.
pub(super) struct Member {
    pub(super) standing: Rc<Standing>,
    weight: u16,
    duty: Duty,
    /// What makes a client stay with it.
    cookie: Option<HeaderValue>,
}

/// The endpoints of an upstream.
pub(super) struct Fleet {
    settings: Rc<Settings>,
    members: Vec<Member>,
    /// One per member, see [`smooth`].
    credits: Vec<Cell<i64>>,
    /// Where ties begin.
    turn: Cell<usize>,
    dice: Dice,
}

/// A request of which an endpoint is to be chosen.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) request: &'a Request,
}

impl Fleet {
    /// The endpoints at `sites` (each the position of its share, and an address), with the standing that they had `before`.
    pub(super) fn new(
        settings: &Rc<Settings>,
        sites: &[(usize, Site)],
        board: &Board,
        queue: &Rc<Queue>,
        before: Option<&Self>,
    ) -> Self {
        let limits = Limits::from(&**settings);
        let mut known: Vec<Rc<Standing>> = before.iter().flat_map(|before| &before.members).map(Member::of).collect();
        // Who joins others that are serving already is new to the traffic; at the start everybody is.
        let risen = before.map(|_| time::now());
        let sticky = settings.balance.sticky.as_ref();
        let members = sites.iter().filter_map(|(share, site)| {
            let share = settings.endpoints.get(*share)?;
            let same = |known: &Rc<Standing>| known.site == *site && known.pool.wire == settings.wire;
            let standing = match known.iter().position(same) {
                Some(index) => {
                    let standing = known.swap_remove(index);
                    standing.pool.limit(limits);
                    standing
                }
                None => Rc::new(join(settings, site, limits, (board, queue), risen)),
            };
            let cookie = sticky.and_then(|sticky| sticky.field(standing.digest));
            Some(Member { standing, weight: share.weight, duty: share.duty, cookie })
        });
        let members: Vec<_> = members.collect();
        let credits = members.iter().map(|_| Cell::new(0)).collect();
        Self { settings: Rc::clone(settings), members, credits, turn: Cell::new(0), dice: Dice::new() }
    }

    /// Its endpoints.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The endpoint for a request, not one of those that were `tried` already. Those that are well come first; where none is, the
    /// others are asked all the same, since nobody knows that they would fail again.
    pub(super) fn choose(&self, asking: Asking<'_>, tried: &[usize], now: Instant) -> Option<usize> {
        if let ([only], []) = (&self.members[..], tried) {
            // Nothing to choose, and nothing that could speak against it.
            return (only.duty == Duty::Serves || self.is_wanted(only, asking)).then_some(0);
        }
        let untried = |index: &usize| !tried.contains(index);
        if let Some(index) = self.wanted(asking).filter(untried)
            && self.members.get(index).is_some_and(|member| member.standing.is_well(now))
        {
            return Some(index);
        }
        let serving = self
            .members
            .iter()
            .enumerate()
            .filter(|(index, member)| member.duty == Duty::Serves && !tried.contains(index));
        let well = serving.clone().filter(|(_, member)| member.standing.is_well(now));
        self.pick(well, asking, now).or_else(|| self.pick(serving, asking, now))
    }

    /// Whether there is one that serves and was not tried.
    pub(super) fn has_other(&self, tried: &[usize]) -> bool {
        self.members.iter().enumerate().any(|(index, member)| member.duty == Duty::Serves && !tried.contains(&index))
    }

    /// For other things that are left to chance.
    pub(super) fn dice(&self) -> &Dice {
        &self.dice
    }

    fn pick<'m>(
        &self,
        members: impl Iterator<Item = (usize, &'m Member)> + Clone,
        asking: Asking<'_>,
        now: Instant,
    ) -> Option<usize> {
        let slow_start = self.settings.balance.slow_start;
        let candidates = members.map(|(index, member)| Candidate {
            index,
            weight: member.standing.weight(member.weight, slow_start, now),
            busy: member.standing.pool.busy(),
        });
        match &self.settings.balance.policy {
            Policy::RoundRobin => smooth(candidates, &self.credits),
            Policy::LeastConnections => {
                let turn = self.turn.get();
                self.turn.set(if turn + 1 < self.members.len() { turn + 1 } else { 0 });
                least_busy(candidates, turn)
            }
            Policy::Random => random(candidates, &self.dice),
            Policy::PowerOfTwo => {
                let (first, second) = two(candidates.clone(), &self.dice)?;
                let Some(second) = second else { return Some(first) };
                let cost = |index: usize| {
                    let standing = &self.members.get(index)?.standing;
                    let candidate = candidates.clone().find(|candidate| candidate.index == index)?;
                    Some((standing.latency.estimate(now), candidate.busy, candidate.weight))
                };
                Some(if cheaper(cost(first)?, cost(second)?) { second } else { first })
            }
            Policy::Hash(hash) => {
                let digest =
                    |index: usize| self.members.get(index).map_or(Digest::NONE, |member| member.standing.digest);
                rendezvous(candidates, digest, key(&hash.by, asking), hash.load_percent_max)
            }
        }
    }

    /// The endpoint that a client wants to stay with, if there still is one.
    fn wanted(&self, asking: Asking<'_>) -> Option<usize> {
        let digest = self.settings.balance.sticky.as_ref()?.wanted(&asking.request.headers)?;
        self.members.iter().position(|member| member.standing.digest == digest)
    }

    fn is_wanted(&self, member: &Member, asking: Asking<'_>) -> bool {
        let sticky = self.settings.balance.sticky.as_ref();
        sticky.and_then(|sticky| sticky.wanted(&asking.request.headers)) == Some(member.standing.digest)
    }

    /// What the response of an endpoint needs for the client to stay with it: nothing where it does already.
    pub(super) fn cookie(&self, index: usize, asking: Asking<'_>) -> Option<&HeaderValue> {
        let cookie = self.members.get(index)?.cookie.as_ref()?;
        (self.wanted(asking) != Some(index)).then_some(cookie)
    }

    /// Remembers that an endpoint answered, after so long.
    pub(super) fn answered(&self, index: usize, status: StatusCode, took: Duration, now: Instant) {
        let Some(Member { standing, .. }) = self.members.get(index) else { return };
        standing.tally.answers.increment();
        standing.tally.nanoseconds.add(nanoseconds(took));
        if self.settings.balance.policy == Policy::PowerOfTwo {
            standing.latency.observe(took, now);
        }
        if standing.answered(status, &self.settings.ejection) {
            self.eject(standing, now, &format_args!("it keeps answering with 5xx, last with {}", status.as_u16()));
        }
    }

    /// Remembers that an endpoint failed, if it was the endpoint that did.
    pub(super) fn failed(&self, index: usize, error: &UpstreamError, took: Duration, now: Instant) {
        let Some(Member { standing, .. }) = self.members.get(index).filter(|_| error.is_endpoints()) else { return };
        if self.settings.balance.policy == Policy::PowerOfTwo {
            standing.latency.observe(took.max(FAILURE_LATENCY), now);
        }
        if standing.failed(&self.settings.ejection) {
            self.eject(standing, now, error);
        }
    }

    /// Ejects an endpoint, unless it is already or too many are.
    fn eject(&self, standing: &Standing, now: Instant, why: &dyn std::fmt::Display) {
        let ejected = self.members.iter().filter(|member| member.standing.is_ejected(now)).count();
        let most = self.members.len() as u64 * u64::from(self.settings.ejection.percent_max);
        if standing.is_ejected(now) || (ejected as u64 + 1) * 100 > most {
            return;
        }
        let duration = standing.eject(&self.settings.ejection, now);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(upstream = %self.settings.name, endpoint = %standing.site, duration_ms, "endpoint ejected: {why}");
    }
}

impl Member {
    fn of(&self) -> Rc<Standing> {
        Rc::clone(&self.standing)
    }
}

fn join(
    settings: &Settings,
    site: &Site,
    limits: Limits,
    (board, queue): (&Board, &Rc<Queue>),
    risen: Option<Instant>,
) -> Standing {
    let address = site.address.map(|address| address.to_string()).unwrap_or_default();
    let digest = Digest::of(&[settings.name.as_str(), &site.endpoint.to_string(), &address]);
    let vital = board.vital(&settings.name, site, initially(settings));
    let tally = vital.tally();
    let place = (&site.endpoint, site.address);
    let pool = Pool::new(place, &settings.wire, limits, Arc::clone(&tally), Rc::clone(queue));
    Standing::new(site.clone(), digest, pool, vital, tally, risen)
}

/// What a request has in common with those that are like it.
fn key(by: &HashBy, Asking { client, request }: Asking<'_>) -> Key {
    let found = match by {
        HashBy::ClientAddress => None,
        HashBy::Header(name) => request.headers.get(name).map(HeaderValue::as_bytes),
        HashBy::Cookie(name) => cookie(&request.headers, name).map(str::as_bytes),
        HashBy::Path => Some(request.target.path().as_bytes()),
    };
    match (found, client.address.ip()) {
        (Some(bytes), _) => Key::of(bytes),
        (None, IpAddr::V4(address)) => Key::of(&address.octets()),
        (None, IpAddr::V6(address)) => Key::of(&address.octets()),
    }
}
