//! How often answers on routes that do not cache are the same as the one before: what a cache would have spared.
//!
//! Sampled, one answer in 16 of each worker: whoever answers pays for a counter and now and then for two hashes. What must not be stored for
//! others is not looked at. Border: what follows from it is `advice`'s business.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode, header};
use http_body::Body as _;

use crate::exchange::{Request, Response};
use crate::names::Name;

/// One in so many is looked at.
const SAMPLED: u32 = 16;
/// Places in which the last answer is remembered, by a hash of what was asked for.
const PLACES: usize = 256;
/// From so many on the counts are halved, so that what was long ago counts less.
const COUNT_MAX: u64 = 4096;

/// What was seen of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Answers that could be compared with one before to the same question.
    pub compared: u64,
    /// Those that were the same, as far as validators and length tell.
    pub same: u64,
}

type Tally = Arc<Mutex<BTreeMap<Name, Seen>>>;

/// The tallies of all workers.
static TALLIES: Mutex<Vec<Tally>> = Mutex::new(Vec::new());

struct Sheet {
    tick: Cell<u32>,
    /// What was asked for, and what was answered.
    places: RefCell<Vec<(u64, u64)>>,
    tally: Tally,
}

impl Sheet {
    fn new() -> Self {
        let tally = Tally::default();
        TALLIES.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tally));
        Self { tick: Cell::new(0), places: RefCell::new(vec![(0, 0); PLACES]), tally }
    }

    fn note(&self, route: &Name, asked: u64, answered: u64) {
        let mut places = self.places.borrow_mut();
        let index = usize::try_from(asked % PLACES as u64).unwrap_or_default();
        let Some(place) = places.get_mut(index) else { return };
        let (before, same) = (place.0 == asked, *place == (asked, answered));
        *place = (asked, answered);
        if !before {
            return;
        }
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if !tally.contains_key(route) {
            tally.insert(route.clone(), Seen::default());
        }
        if let Some(seen) = tally.get_mut(route) {
            seen.compared += 1;
            seen.same += u64::from(same);
            if seen.compared >= COUNT_MAX {
                *seen = Seen { compared: seen.compared / 2, same: seen.same / 2 };
            }
        }
    }
}

thread_local! {
    static SHEET: Sheet = Sheet::new();
}

/// Looks at an answer of a route that does not cache, now and then.
#[inline]
pub fn look(route: &Name, request: &Request, response: &Response) {
    if request.method != Method::GET || response.status != StatusCode::OK {
        return;
    }
    SHEET.with(|sheet| {
        let tick = sheet.tick.get().wrapping_add(1);
        sheet.tick.set(tick);
        if tick % SAMPLED == 0
            && let Some((asked, answered)) = versions(request, response)
        {
            sheet.note(route, asked, answered);
        }
    });
}

/// Hashes of what was asked for and of what was answered; none where that must not be stored for others or cannot be told apart.
fn versions(request: &Request, response: &Response) -> Option<(u64, u64)> {
    let headers = &response.headers;
    let control = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let personal = request.headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(header::SET_COOKIE)
        || control.contains("no-store")
        || control.contains("private");
    let length = response.body.size_hint().exact();
    let validators = [headers.get(header::ETAG), headers.get(header::LAST_MODIFIED)];
    if personal || (length.is_none() && validators.iter().all(Option::is_none)) {
        return None;
    }
    let mut asked = DefaultHasher::new();
    (&*request.authority, request.target.as_str()).hash(&mut asked);
    let mut answered = DefaultHasher::new();
    validators.map(|value| value.map(http::HeaderValue::as_bytes)).hash(&mut answered);
    length.hash(&mut answered);
    Some((asked.finish(), answered.finish()))
}

/// What was seen of each route, by all workers.
pub fn seen() -> BTreeMap<Name, Seen> {
    let mut all: BTreeMap<Name, Seen> = BTreeMap::new();
    for tally in TALLIES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        for (route, seen) in tally.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let sum = all.entry(route.clone()).or_default();
            sum.compared += seen.compared;
            sum.same += seen.same;
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_again_is_counted() {
        let sheet = Sheet::new();
        let route: Name = "r".parse().unwrap();
        for (asked, answered) in [(1, 7), (1, 7), (1, 8), (1, 8), (2, 8), (2, 8), (1 + PLACES as u64, 8), (1, 8)] {
            sheet.note(&route, asked, answered);
        }
        let seen = *sheet.tally.lock().unwrap().get(&route).unwrap();
        assert_eq!(seen, Seen { compared: 4, same: 3 });
        for _ in 0..COUNT_MAX {
            sheet.note(&route, 1, 8);
        }
        let seen = *sheet.tally.lock().unwrap().get(&route).unwrap();
        assert!(seen.compared < COUNT_MAX && seen.same < seen.compared, "{seen:?}");
    }
}
