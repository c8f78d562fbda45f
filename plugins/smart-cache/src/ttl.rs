//! How long: the order in which path, status, origin and adaptation are asked. Takes facts, asks nobody.

use std::collections::BTreeMap;

use portcullis_sdk::Path;
use portcullis_sdk::prelude::*;

use crate::config::{Config, NegativeChoice, PathEntry, StatusEntry};
use crate::origin::Origin;
use crate::windows::{Windows, Wins};
use portcullis_sdk::pattern::Pattern;

/// Statuses that a plain `ttl` speaks of: those of RFC 9110 section 15.1 that are no errors and no parts.
const PLAIN: [u16; 6] = [200, 203, 204, 300, 301, 308];

/// Statuses that say there is nothing, now and most likely in a minute.
const NEGATIVE: [u16; 6] = [404, 405, 410, 414, 451, 501];

/// What is known about a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) status: u16,
    pub(crate) origin: Origin,
    pub(crate) sets_cookie: bool,
    /// `Vary: *`
    pub(crate) varies_by_all: bool,
    /// The request had an Authorization header.
    pub(crate) authorized: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// As without this plugin.
    Next,
    NoStore,
    /// Milliseconds; from the origin.
    AsOriginSays(u64),
    /// Milliseconds; from the configuration.
    For(u64),
    /// What was learned, or where nothing was: the decision inside.
    Adapt(Option<u64>),
}

/// ttl by status, and what is around it.
#[derive(Debug, Default)]
struct Statuses(Vec<(Wanted, Option<u64>, Windows)>);

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Code(u16),
    Class(u16),
}

impl Statuses {
    fn new(config: &BTreeMap<String, StatusEntry>) -> Result<Self> {
        let mut statuses = Vec::new();
        for (text, entry) in config {
            let class =
                text.strip_suffix("xx").and_then(|class| class.parse().ok()).filter(|class| (2..=5).contains(class));
            let code = text.parse().ok().filter(|code| (200..=599).contains(code));
            let wanted = match (code, class) {
                (Some(code), _) => Wanted::Code(code),
                (None, Some(class)) => Wanted::Class(class),
                (None, None) => {
                    return Err(format!("statuses: `{text}` is neither a status nor a class like `4xx`").into());
                }
            };
            statuses.push((wanted, entry.ttl(), entry.windows()));
        }
        Ok(Self(statuses))
    }

    fn negative(choice: &NegativeChoice) -> Self {
        let entries = [
            (Wanted::Code(404), choice.not_found),
            (Wanted::Code(410), choice.gone),
            (Wanted::Class(5), choice.failed),
        ];
        Self(entries.into_iter().map(|(wanted, ttl)| (wanted, Some(ttl.0), Windows::default())).collect())
    }

    /// What is said of a code, then what is said of its class.
    fn of(&self, status: u16) -> impl Iterator<Item = (Option<u64>, Windows)> {
        let find = |wanted: Wanted| {
            self.0.iter().find(|(known, ..)| *known == wanted).map(|(_, ttl, windows)| (*ttl, *windows))
        };
        [find(Wanted::Code(status)), find(Wanted::Class(status / 100))].into_iter().flatten()
    }

    fn ttl(&self, status: u16) -> Option<u64> {
        self.of(status).find_map(|(ttl, _)| ttl)
    }

    fn windows(&self, status: u16) -> Windows {
        self.of(status).fold(Windows::default(), |nearer, (_, windows)| nearer.or(windows))
    }
}

/// What is different for a path.
#[derive(Debug)]
pub(crate) struct Place {
    pattern: Pattern,
    store: bool,
    adaptive: bool,
    override_origin: Option<bool>,
    statuses: Statuses,
    ttl: Option<u64>,
    windows: Windows,
    /// Tags that every response here gets.
    pub(crate) tags: Vec<String>,
}

/// The path may be read in two ways, which are in different places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

impl Place {
    fn new(entry: &PathEntry) -> Result<Self> {
        Ok(Self {
            pattern: Pattern::of_paths(&entry.path),
            store: entry.store,
            adaptive: entry.adaptive,
            override_origin: entry.override_origin,
            statuses: Statuses::new(&entry.statuses).map_err(|error| error.context(&entry.path))?,
            ttl: entry.ttl.map(|ttl| ttl.0),
            windows: Windows {
                stale_while_revalidate: entry.stale_while_revalidate,
                stale_if_error: entry.stale_if_error,
                refresh_ahead: entry.refresh_ahead,
            },
            tags: entry.tags.clone(),
        })
    }
}

/// All that the configuration says about time.
#[derive(Debug)]
pub(crate) struct Ttl {
    statuses: Statuses,
    ttl: Option<u64>,
    negative: Option<u64>,
    negative_by_status: Statuses,
    windows: Windows,
    override_origin: bool,
    store_set_cookie: bool,
    adaptive: bool,
    places: Vec<Place>,
}

impl Ttl {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            statuses: Statuses::new(&config.statuses)?,
            ttl: config.ttl.map(|ttl| ttl.0),
            negative: config.negative_ttl.map(|ttl| ttl.0),
            negative_by_status: config.negative.as_ref().map(Statuses::negative).unwrap_or_default(),
            windows: Windows {
                stale_while_revalidate: config.stale_while_revalidate,
                stale_if_error: config.stale_if_error,
                refresh_ahead: config.refresh_ahead,
            },
            override_origin: config.override_origin,
            store_set_cookie: config.store_set_cookie,
            adaptive: config.adaptive.is_some(),
            places: config.paths.iter().map(Place::new).collect::<Result<_>>()?,
        })
    }

    /// Whether nothing is said at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.statuses.0.is_empty()
            && self.ttl.is_none()
            && self.negative.is_none()
            && self.negative_by_status.0.is_empty()
            && self.windows.is_silent()
            && !self.adaptive
            && self.places.is_empty()
    }

    /// Whether the path decides anything.
    pub(crate) fn looks_at_path(&self) -> bool {
        !self.places.is_empty()
    }

    /// What is different for this path; an error where it depends on how it is read: what the origin understands is not known then.
    pub(crate) fn place(&self, path: &Path) -> Result<Option<&Place>, Ambiguous> {
        let first = |reading: &str| self.places.iter().position(|place| place.pattern.matches(reading));
        path.agreed(first).map(|place| self.places.get(place?)).ok_or(Ambiguous)
    }

    /// Whose word counts here.
    pub(crate) fn wins(&self, place: Option<&Place>) -> Wins {
        match place.and_then(|place| place.override_origin).unwrap_or(self.override_origin) {
            true => Wins::Configuration,
            false => Wins::Origin,
        }
    }

    /// What is said of the time around the end of a ttl, in the order in which ttls are looked for.
    pub(crate) fn windows(&self, place: Option<&Place>, status: u16) -> Windows {
        let plain = |windows: Windows| if PLAIN.contains(&status) { windows } else { Windows::default() };
        let here = place.map_or_else(Windows::default, |place| place.statuses.windows(status).or(plain(place.windows)));
        here.or(self.statuses.windows(status)).or(plain(self.windows))
    }

    pub(crate) fn decide(&self, place: Option<&Place>, facts: &Facts) -> Decision {
        let forbidden = facts.varies_by_all || (facts.sets_cookie && !self.store_set_cookie);
        if forbidden || place.is_some_and(|place| !place.store) {
            return Decision::NoStore;
        }
        let configured = self.configured(place, facts.status);
        match self.wins(place) {
            Wins::Configuration if configured != Decision::Next => configured,
            Wins::Configuration => by_origin(facts).unwrap_or(Decision::Next),
            Wins::Origin => by_origin(facts).unwrap_or(configured),
        }
    }

    fn configured(&self, place: Option<&Place>, status: u16) -> Decision {
        let plain = |ttl: Option<u64>| ttl.filter(|_| PLAIN.contains(&status));
        if let Some(ttl) = place.and_then(|place| place.statuses.ttl(status).or(plain(place.ttl))) {
            return store(ttl);
        }
        let negative = self.negative.filter(|_| NEGATIVE.contains(&status));
        let negative = self.negative_by_status.ttl(status).or(negative);
        let ttl = self.statuses.ttl(status).or(negative).or(plain(self.ttl));
        if self.adaptive && status == 200 && place.is_none_or(|place| place.adaptive) {
            return Decision::Adapt(ttl);
        }
        ttl.map_or(Decision::Next, store)
    }
}

/// None where the origin says nothing.
fn by_origin(facts: &Facts) -> Option<Decision> {
    let origin = &facts.origin;
    if origin.forbids || (facts.authorized && !origin.allows_authorized) {
        Some(Decision::NoStore)
    } else if origin.no_cache {
        Some(Decision::Next)
    } else {
        origin.lifetime.map(Decision::AsOriginSays)
    }
}

/// A ttl of nothing is: do not store.
pub(crate) fn store(ttl: u64) -> Decision {
    if ttl == 0 { Decision::NoStore } else { Decision::For(ttl) }
}
