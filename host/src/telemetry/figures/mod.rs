//! What the counters say about the last seconds: rates, quantiles, and where the time goes.
//!
//! Once a second somebody hands in a [`Snapshot`]; of it only what has changed is kept, for five minutes. Pure: nobody here looks at a
//! clock or a counter. [`Live`] is made of it when somebody asks.

mod derive;
mod json;
mod live;
mod snapshot;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::accounts::Owner;
use crate::names::{Hook, Name};

use snapshot::RouteGrowth;

pub use live::{
    ConnectionFigures, EndpointFigures, Faults, HookFigures, Latency, Live, PluginShare, ProcessFigures, RouteFigures,
    Series, Split, Traffic, UpstreamFigures,
};
pub use snapshot::{Asked, HookCounts, Snapshot, UpstreamCounts, UpstreamGauges};

/// For how long figures can be asked for.
pub const WINDOW_MAX: Duration = Duration::from_secs(300);

/// Routes that are told apart within one second: the busiest. With five minutes of them these are some 20 MB at most.
const ROUTES_MAX: usize = 200;

/// Endpoints that are told apart within one second: the busiest. With five minutes of them these are some 8 MB at most.
const ENDPOINTS_MAX: usize = 200;

/// The figures of the last five minutes.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    /// The newest last.
    seconds: VecDeque<Second>,
    last: Option<Snapshot>,
}

/// What came in between two snapshots.
#[derive(Debug, Default)]
struct Second {
    took: Duration,
    routes: Vec<(Owner, RouteGrowth)>,
    hooks: Vec<(Name, Hook, HookCounts)>,
    upstreams: Vec<(Name, UpstreamCounts)>,
    endpoints: Vec<(Name, Arc<str>, Asked)>,
    cpu: Duration,
}

impl Figures {
    /// Takes in what the counters say now. The first one only says from where on is counted.
    pub fn note(&self, snapshot: Snapshot) {
        let mut ring = self.lock();
        if let Some(last) = &ring.last {
            let second = Second::between(last, &snapshot);
            if ring.seconds.len() as u64 >= WINDOW_MAX.as_secs() {
                ring.seconds.pop_front();
            }
            ring.seconds.push_back(second);
        }
        ring.last = Some(snapshot);
    }

    /// The figures of so long back, as far as they are known.
    pub fn live(&self, window: Duration) -> Live {
        let ring = self.lock();
        let mut wanted = Duration::ZERO;
        let seconds = ring.seconds.iter().rev().take_while(|second| {
            // None is exactly a second; one that is for the most part within is.
            let fits = wanted + second.took / 2 <= window;
            wanted += second.took;
            fits
        });
        let mut seconds: Vec<&Second> = seconds.collect();
        seconds.reverse();
        ring.last.as_ref().map(|last| derive::live(&seconds, last)).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Whoever panicked left whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Second {
    fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let known: BTreeMap<_, _> = before.routes.iter().map(|(owner, sum)| (owner, sum)).collect();
        let grown = after.routes.iter().filter_map(|(owner, sum)| {
            let growth = RouteGrowth::between(known.get(owner).copied(), sum)?;
            Some((owner.clone(), growth))
        });
        let hooks = after.hooks.iter().filter_map(|(plugin, hook, counts)| {
            let known = before.hooks.iter().find(|known| known.0 == *plugin && known.1 == *hook);
            let grown = known.map_or(*counts, |(_, _, known)| counts.since(known));
            (grown.calls > 0).then(|| (plugin.clone(), *hook, grown))
        });
        let upstreams = after.upstreams.iter().filter_map(|(name, counts, _)| {
            let known = before.upstreams.iter().find(|(known, _, _)| known == name);
            let grown = known.map_or(*counts, |(_, known, _)| counts.since(known));
            (grown != UpstreamCounts::default()).then(|| (name.clone(), grown))
        });
        let known: BTreeMap<_, _> =
            before.endpoints.iter().map(|(upstream, endpoint, counts)| ((upstream, endpoint), counts)).collect();
        let endpoints = after.endpoints.iter().filter_map(|(upstream, endpoint, counts)| {
            let grown = known.get(&(upstream, endpoint)).map_or(*counts, |known| counts.since(known));
            (grown != Asked::default()).then(|| (upstream.clone(), Arc::clone(endpoint), grown))
        });
        let mut endpoints: Vec<_> = endpoints.collect();
        if endpoints.len() > ENDPOINTS_MAX {
            endpoints.sort_by_key(|(_, _, grown)| std::cmp::Reverse(grown.requests));
            endpoints.truncate(ENDPOINTS_MAX);
        }
        Self {
            took: after.moment.saturating_duration_since(before.moment),
            routes: busiest(grown.collect()),
            hooks: hooks.collect(),
            upstreams: upstreams.collect(),
            endpoints,
            cpu: after.cpu.saturating_sub(before.cpu),
        }
    }
}

/// Adds up those beyond the bound.
fn busiest(mut routes: Vec<(Owner, RouteGrowth)>) -> Vec<(Owner, RouteGrowth)> {
    if routes.len() <= ROUTES_MAX {
        return routes;
    }
    routes.sort_by_key(|(_, growth)| std::cmp::Reverse(growth.requests()));
    let mut others = RouteGrowth::default();
    routes.drain(ROUTES_MAX..).for_each(|(_, growth)| others.add(&growth));
    match routes.iter_mut().find(|(owner, _)| *owner == Owner::Other) {
        Some((_, known)) => known.add(&others),
        None => routes.push((Owner::Other, others)),
    }
    routes
}
