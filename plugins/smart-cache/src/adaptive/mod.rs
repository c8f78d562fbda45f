//! Adaptive ttl: what is seen of a resource, what is remembered of it, and the formula. Border: `history` computes, `table`
//! remembers in the instance, `shared` in `kv`; only this file asks for the time.

mod history;
mod shared;
mod table;

use std::cell::RefCell;

use portcullis_sdk::clock;
use portcullis_sdk::prelude::*;

use crate::config::AdaptiveChoice;

pub(crate) use history::{Formula, History, Seen};
use table::Table;

/// What adapts.
pub(crate) struct Adaptive {
    formula: Formula,
    table: RefCell<Table>,
}

impl Adaptive {
    pub(crate) fn new(config: &AdaptiveChoice) -> Result<Self> {
        if config.min > config.max {
            return Err("adaptive: `min` is over `max`".into());
        }
        let sound = |number: f64| number.is_finite() && number >= 0.0;
        if !sound(config.share) || !sound(config.popularity) {
            return Err("adaptive: `share` and `popularity` are numbers from 0 up".into());
        }
        let formula =
            Formula { min: config.min.0, max: config.max.0, share: config.share, popularity: config.popularity };
        Ok(Self { formula, table: RefCell::new(Table::new(config.entries)) })
    }

    /// Counts one request for a resource.
    pub(crate) fn count(&self, resource: u64) {
        self.table.borrow_mut().count(resource);
    }

    /// Learns from a response and says how long it is to be kept. None where it tells nothing about changes.
    pub(crate) fn ttl(&self, resource: u64, seen: &Seen) -> Option<u64> {
        let now = clock::now_ms();
        let mut table = self.table.borrow_mut();
        let slot = table.slot(resource);
        let known = shared::load(resource).or(slot.history);
        let history = History::next(known, seen, now)?;
        if known != Some(history) {
            shared::store(resource, &history);
        }
        slot.history = Some(history);
        let per_minute = slot.requests_per_minute(now);
        Some(self.formula.ttl(history.interval(now), per_minute))
    }
}
