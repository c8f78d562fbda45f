//! What became of requests, by route: counted by every worker for itself, added up by whoever reads.
//!
//! Routes are known by their names, so that counts live on when the configuration changes. Their number is bounded: what comes later is
//! counted together. Invariant: counting takes no lock, except where a worker sees a route for the first time.

mod exemplar;
mod expose;
mod sheet;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::End;
use crate::exchange::{Attendance, Entrance, Exchange};
use crate::names::Name;
use crate::time::{self, Instant};

use sheet::Sheet;

pub use exemplar::Exemplar;
pub use expose::times;
pub use sheet::{PluginSum, Sum};

/// Routes that are told apart, as long as the process lives. A configuration may have more, but whoever stores the series may not.
pub const ROUTES_MAX: usize = 1000;

/// The upper bounds of the buckets that are told.
pub const BOUNDS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Methods that are told apart. Anybody can invent others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other.
    Other,
}

impl Methods {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options, Self::Other];

    /// How they are told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "other",
        }
    }
}

/// Whose counts they are. Names of routes begin with a letter or a digit, so that none is taken for one of the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A route.
    Route(Name),
    /// Requests without a route.
    None,
    /// Routes beyond the bound.
    Other,
}

impl Owner {
    /// The label.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Route(name) => name.as_str(),
            Self::None => "_none",
            Self::Other => "_other",
        }
    }
}

/// The counts of all workers.
#[derive(Debug)]
pub struct Accounts {
    sheets: Mutex<BTreeMap<Owner, Vec<Arc<Sheet>>>>,
    workers: Mutex<Vec<Arc<Attendance>>>,
    /// One moment on both clocks.
    base: (Instant, Duration),
}

impl Default for Accounts {
    fn default() -> Self {
        Self { sheets: Mutex::default(), workers: Mutex::default(), base: (time::now(), time::unix()) }
    }
}

impl Accounts {
    /// What one more worker counts with.
    pub(super) fn book(self: &Arc<Self>) -> Book {
        let attendance = Arc::default();
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&attendance));
        let entrance = Entrance::new(attendance);
        let (none, other) = (Arc::default(), Arc::default());
        let mut sheets = self.sheets.lock().unwrap_or_else(PoisonError::into_inner);
        sheets.entry(Owner::None).or_default().push(Arc::clone(&none));
        sheets.entry(Owner::Other).or_default().push(Arc::clone(&other));
        let accounts = Arc::clone(self);
        Book { accounts, entrance, none, other, places: RefCell::default(), known: RefCell::default() }
    }

    /// What was counted, by route. Requests without one are there always, those beyond the bound where there are any.
    pub fn sums(&self) -> Vec<(Owner, Sum)> {
        let sheets = self.sheets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sums = sheets.into_iter().map(|(owner, sheets)| {
            let mut sum = Sum::default();
            sheets.iter().for_each(|sheet| sheet.add_to(&mut sum));
            (owner, sum)
        });
        sums.filter(|(owner, sum)| *owner != Owner::Other || sum.status() != [0; 5]).collect()
    }

    /// The newest example of each bucket of a route.
    fn examples(&self, owner: &Owner) -> [Option<Exemplar>; BOUNDS.len() + 1] {
        let sheets = self.sheets.lock().unwrap_or_else(PoisonError::into_inner).get(owner).cloned();
        let mut all = std::array::from_fn(|_| None);
        sheets.iter().flatten().for_each(|sheet| sheet.examples(&mut all));
        all
    }

    /// Exchanges under way, and those that were aborted before there was a response, by worker.
    pub fn workers(&self) -> Vec<(u64, u64)> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|worker| (worker.in_flight(), worker.aborted())).collect()
    }

    /// A sheet more for a route, if there is room for it.
    fn sheet(&self, route: &Name) -> Option<Arc<Sheet>> {
        let mut sheets = self.sheets.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = Owner::Route(route.clone());
        // Two of them are no routes.
        if !sheets.contains_key(&owner) && sheets.len() >= ROUTES_MAX + 2 {
            return None;
        }
        let sheet = Arc::default();
        sheets.entry(owner).or_default().push(Arc::clone(&sheet));
        Some(sheet)
    }
}

/// A route by its position.
type Place = (Name, Arc<Sheet>);

/// What one worker counts with.
#[derive(Debug)]
pub(super) struct Book {
    accounts: Arc<Accounts>,
    pub(super) entrance: Rc<Entrance>,
    none: Arc<Sheet>,
    other: Arc<Sheet>,
    /// By the position of routes in the plan, as far as they have been used. Where the plan has changed the name does not match.
    places: RefCell<Vec<Option<Place>>>,
    /// By name.
    known: RefCell<HashMap<Name, Arc<Sheet>>>,
}

impl Book {
    /// Counts how an exchange ended.
    pub(super) fn record(&self, exchange: &Exchange, end: &End) {
        exchange.presence.end();
        let (moment, unix) = self.accounts.base;
        // Nobody need look at a clock: the exchange has.
        let at = unix + exchange.started.saturating_duration_since(moment) + end.duration;
        let (Some(name), Some(place)) = (&exchange.route, end.route) else {
            return self.none.record(exchange, end, at);
        };
        if let Some(Some((known, sheet))) = self.places.borrow().get(place)
            && known == name
        {
            return sheet.record(exchange, end, at);
        }
        self.find(place, name).record(exchange, end, at);
    }

    fn find(&self, place: usize, name: &Name) -> Arc<Sheet> {
        let mut known = self.known.borrow_mut();
        let sheet = match known.get(name) {
            Some(sheet) => Arc::clone(sheet),
            None => {
                let sheet = self.accounts.sheet(name).unwrap_or_else(|| Arc::clone(&self.other));
                // What has no sheet of its own is remembered by its place only, so that this does not grow with every reload.
                if !Arc::ptr_eq(&sheet, &self.other) {
                    known.insert(name.clone(), Arc::clone(&sheet));
                }
                sheet
            }
        };
        let mut places = self.places.borrow_mut();
        if places.len() <= place {
            places.resize_with(place + 1, || None);
        }
        if let Some(slot) = places.get_mut(place) {
            *slot = Some((name.clone(), Arc::clone(&sheet)));
        }
        sheet
    }
}
