//! Counts of what the cache did: purges, and how requests fared by route.
//!
//! Every worker has counters of its own for each route, so that none waits for another's; they are added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Cache, Mode, Selection};
use crate::names::Name;
use crate::telemetry::metrics::{Counter, Exposition, Kind};

/// Who purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An operator.
    Admin,
    /// A plugin.
    Plugin,
    /// A request that changed something (RFC 9111 section 4.4).
    Request,
}

impl By {
    const ALL: [Self; 3] = [Self::Admin, Self::Plugin, Self::Request];

    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Plugin => "plugin",
            Self::Request => "request",
        }
    }
}

/// By what something is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A URL.
    Url,
    /// Tags.
    Tag,
    /// A key.
    Key,
    /// A pattern of URLs.
    Pattern,
    /// A namespace.
    Namespace,
    /// Only what the stored responses are like.
    Condition,
    /// Everything.
    All,
}

impl Sort {
    const ALL: [Self; 7] =
        [Self::Url, Self::Tag, Self::Key, Self::Pattern, Self::Namespace, Self::Condition, Self::All];

    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Tag => "tag",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::Namespace => "namespace",
            Self::Condition => "condition",
            Self::All => "all",
        }
    }

    /// By what a selection is purged; where it says several things, the first of them in the order of this enum.
    pub fn of(selection: &Selection) -> Self {
        match selection {
            Selection { url: Some(_), .. } => Self::Url,
            Selection { tag: Some(_), .. } => Self::Tag,
            Selection { key: Some(_), .. } => Self::Key,
            Selection { pattern: Some(_), .. } => Self::Pattern,
            Selection { namespace: Some(_), .. } => Self::Namespace,
            everything if *everything == Selection::default() => Self::All,
            _ => Self::Condition,
        }
    }
}

/// How a request fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What is stored was fresh and the answer.
    Hit,
    /// What is stored was stale and the answer.
    Stale,
    /// Nothing usable was stored.
    Miss,
    /// The cache was not asked, or what it has was not wanted.
    Bypass,
    /// What is stored was the answer after the upstream had said that it is still right.
    Revalidated,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Hit, Self::Stale, Self::Miss, Self::Bypass, Self::Revalidated];

    /// A stable word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Revalidated => "revalidated",
        }
    }
}

/// How requests of one route fared on one worker.
#[derive(Debug, Default)]
pub struct Outcomes([Counter; Outcome::ALL.len()]);

impl Outcomes {
    /// Counts a request.
    pub fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.0.get(outcome as usize) {
            counter.increment();
        }
    }
}

/// All counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// By who, by what and how, in this order.
    purges: [[[Counter; 2]; Sort::ALL.len()]; By::ALL.len()],
    requests: Mutex<Vec<(Name, Arc<Outcomes>)>>,
}

impl Tally {
    /// Counts a purge.
    pub fn purged(&self, by: By, sort: Sort, mode: Mode) {
        let counter = self.purges.get(by as usize).and_then(|of| of.get(sort as usize)?.get(mode as usize));
        if let Some(counter) = counter {
            counter.increment();
        }
    }

    /// New counters of a route. What they count stays after they are dropped.
    pub fn outcomes(&self, route: &Name) -> Arc<Outcomes> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // What a pipeline that is gone has counted is taken up again, so that these do not grow with every reload.
        let idle = requests.iter().find(|(known, counted)| known == route && Arc::strong_count(counted) == 1);
        if let Some((_, idle)) = idle {
            return Arc::clone(idle);
        }
        let outcomes = Arc::new(Outcomes::default());
        requests.push((route.clone(), Arc::clone(&outcomes)));
        outcomes
    }

    /// How requests fared, by route; the sums stand in the order of [`Outcome`].
    pub fn requests(&self) -> BTreeMap<Name, [(Outcome, u64); Outcome::ALL.len()]> {
        let mut sums: BTreeMap<Name, _> = BTreeMap::new();
        for (route, counted) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let sums = sums.entry(route.clone()).or_insert_with(|| Outcome::ALL.map(|outcome| (outcome, 0)));
            for ((_, sum), counter) in sums.iter_mut().zip(&counted.0) {
                *sum += counter.value();
            }
        }
        sums
    }

    /// How often was purged, by who, by what and how.
    fn purges(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        let modes = [Mode::Hard, Mode::Soft].map(Mode::as_str);
        By::ALL.into_iter().zip(&self.purges).flat_map(move |(by, of)| {
            Sort::ALL.into_iter().zip(of).flat_map(move |(sort, of)| {
                modes.into_iter().zip(of).map(move |(mode, count)| ([by.as_str(), sort.as_str(), mode], count.value()))
            })
        })
    }
}

impl Cache {
    /// The counts.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Tells all of it.
pub fn expose(cache: &Cache, out: &mut Exposition) {
    let (entries, bytes) = cache.size();
    let none: [(&str, &str); 0] = [];
    out.family("portcullis_cache_entries", "Keys under which responses are stored, nearly.", Kind::Gauge);
    out.count("portcullis_cache_entries", &none, entries);
    out.family("portcullis_cache_bytes", "Bytes of all stored responses together, nearly.", Kind::Gauge);
    out.count("portcullis_cache_bytes", &none, bytes);
    out.family("portcullis_cache_purges_total", "Purges.", Kind::Counter);
    for ([by, kind, mode], count) in cache.tally.purges() {
        out.count("portcullis_cache_purges_total", &[("by", by), ("kind", kind), ("mode", mode)], count);
    }
    out.family("portcullis_cache_requests_total", "How requests fared at the cache.", Kind::Counter);
    for (route, sums) in cache.tally.requests() {
        for (outcome, count) in sums {
            let labels = [("route", route.as_str()), ("result", outcome.as_str())];
            out.count("portcullis_cache_requests_total", &labels, count);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counters_of_workers_are_added_up_and_outlive_them() {
        let tally = Tally::default();
        let name: Name = "a".parse().unwrap();
        let sum =
            |outcome: Outcome| tally.requests().get(&name).unwrap().iter().find(|(of, _)| *of == outcome).unwrap().1;
        let (one, two) = (tally.outcomes(&name), tally.outcomes(&name));
        one.count(Outcome::Hit);
        two.count(Outcome::Hit);
        two.count(Outcome::Revalidated);
        drop((one, two));
        assert_eq!((sum(Outcome::Hit), sum(Outcome::Revalidated), sum(Outcome::Miss)), (2, 1, 0));
        tally.outcomes(&name).count(Outcome::Hit);
        assert_eq!((sum(Outcome::Hit), tally.requests.lock().unwrap().len()), (3, 2));
    }

    #[test]
    fn a_selection_is_of_one_sort() {
        let check = |selection: Selection, expected: Sort| assert_eq!(Sort::of(&selection), expected);
        let text = || Some("x".to_owned());
        check(Selection::default(), Sort::All);
        check(Selection { status: Some(404), ..Selection::default() }, Sort::Condition);
        check(Selection { status: Some(404), pattern: text(), ..Selection::default() }, Sort::Pattern);
        check(Selection { tag: text(), url: text(), ..Selection::default() }, Sort::Url);
        let tally = Tally::default();
        tally.purged(By::Plugin, Sort::Tag, Mode::Soft);
        let counted: Vec<_> = tally.purges().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(["plugin", "tag", "soft"], 1)]);
    }
}
