//! Cache look-up and storing, with the plugins' say in both.
//!
//! [`Pipeline::look_up`] answers from the cache or says how the handler is to be asked; [`Pipeline::settle`] makes of what came of that
//! the response, and of the response what is stored. The key begins with the route, so that no plugin can make one route's responses
//! appear on another.

mod key;
mod looking;
mod refresh;
mod serve;
mod settle;
mod status;
mod unsafely;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, header};

use crate::cache::{Cache, Lead, Lock, Outcome, Outcomes, Stored};
use crate::names::Name;
use crate::pipeline::{Pipeline, Plan};

pub(super) use looking::{Asking, Looked};
use status::Forward;

/// Request fields that the gateway judges itself where it stores what comes.
const CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// A request to the handler whose answer may be stored.
#[derive(Debug)]
pub(super) struct Fetch {
    /// Where it would be stored.
    key: String,
    /// What purges find it by.
    url: String,
    /// Why the handler is asked.
    forward: Forward,
    /// What is stored and may be still right.
    basis: Option<Arc<Stored>>,
    /// What the client said of conditions and ranges and the handler does not hear.
    withheld: HeaderMap,
    /// Who waits for it.
    lead: Option<Lead>,
    /// The right to fetch it for all instances.
    lock: Option<Lock>,
    /// The last purge before it was asked for.
    sequence: u64,
    /// Whether it has waited for another.
    collapsed: bool,
    /// Whether it asks for the rest of a part.
    completing: bool,
    /// Whether the client forbids storing.
    no_store: bool,
    /// Whether a client waits for the answer.
    awaited: bool,
}

/// Counters for the routes of a plan that cache. A route that was there before keeps its own.
pub(super) fn outcomes(plan: &Plan, before: Option<&Pipeline>, cache: &Cache) -> Vec<Option<Arc<Outcomes>>> {
    let known = |name: &Name| {
        let before = before?;
        let index = before.plan.routes.iter().position(|route| route.name == *name)?;
        before.outcomes.get(index)?.clone()
    };
    let of = |name: &Name| known(name).unwrap_or_else(|| cache.tally().outcomes(name));
    plan.routes.iter().map(|route| route.cache.is_some().then(|| of(&route.name))).collect()
}

impl Pipeline {
    /// Counts how a request to a route fared.
    fn count(&self, route: Option<usize>, outcome: Outcome) {
        if let Some(Some(outcomes)) = route.and_then(|route| self.outcomes.get(route)) {
            outcomes.count(outcome);
        }
    }
}

/// Whether a method changes nothing (RFC 9110 section 9.2.1). What is not known may.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || ["PROPFIND", "REPORT", "SEARCH", "QUERY"].contains(&method.as_str())
}

/// Moves fields from one place to another.
fn take_fields(from: &mut HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut taken = HeaderMap::new();
    for name in names {
        if let http::header::Entry::Occupied(entry) = from.entry(name) {
            let (name, values) = entry.remove_entry_mult();
            taken.extend(values.map(|value| (name.clone(), value)));
        }
    }
    taken
}
