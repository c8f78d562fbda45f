//! What an instance remembers: a fixed number of places, so that no traffic makes it grow.
//!
//! Invariant: a resource has exactly one place it can be in. Where two compete, each request for the newcomer takes one
//! from the resident's count, and the place changes hands at zero: what is asked for often stays.

use super::History;

/// What is remembered of one resource.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    resource: u64,
    requests: u32,
    /// When counting began, in milliseconds since the epoch; 0: not known yet.
    since: u64,
    pub(super) history: Option<History>,
}

impl Slot {
    /// The requests per minute since this was asked last, and a new beginning.
    pub(super) fn requests_per_minute(&mut self, now: u64) -> f64 {
        let requests = std::mem::take(&mut self.requests);
        let since = std::mem::replace(&mut self.since, now);
        if since == 0 || now <= since {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss, reason = "a span of milliseconds")]
        let minutes = (now - since) as f64 / 60_000.0;
        f64::from(requests) / minutes
    }
}

/// The places.
pub(super) struct Table {
    /// Its length is a power of two.
    slots: Vec<Slot>,
}

impl Table {
    pub(super) fn new(entries: u32) -> Self {
        let length = entries.clamp(16, 1 << 20).next_power_of_two();
        Self { slots: vec![Slot::default(); usize::try_from(length).unwrap_or(16)] }
    }

    /// Counts one request.
    pub(super) fn count(&mut self, resource: u64) {
        let slot = self.place(resource);
        if slot.resource == resource {
            slot.requests = slot.requests.saturating_add(1);
        } else if slot.requests == 0 {
            *slot = Slot { resource, requests: 1, ..Slot::default() };
        } else {
            slot.requests -= 1;
        }
    }

    /// The place of a resource whose response came; taken over from another where it has to be.
    pub(super) fn slot(&mut self, resource: u64) -> &mut Slot {
        let slot = self.place(resource);
        if slot.resource != resource {
            *slot = Slot { resource, ..Slot::default() };
        }
        slot
    }

    #[allow(clippy::indexing_slicing, reason = "the mask of a power of two is under the length, which is never 0")]
    fn place(&mut self, resource: u64) -> &mut Slot {
        let mask = self.slots.len() - 1;
        let index = usize::try_from(resource & mask as u64).unwrap_or(0);
        &mut self.slots[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_between_two_looks() {
        let mut table = Table::new(16);
        table.count(7);
        assert!(table.slot(7).requests_per_minute(60_000).abs() < f64::EPSILON);
        for _ in 0..30 {
            table.count(7);
        }
        assert!((table.slot(7).requests_per_minute(90_000) - 60.0).abs() < 1e-9);
        assert!(table.slot(7).requests_per_minute(120_000).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_asked_for_often_keeps_its_place() {
        let mut table = Table::new(16);
        for _ in 0..3 {
            table.count(1);
        }
        table.count(17);
        assert_eq!(table.place(1).resource, 1);
        for _ in 0..3 {
            table.count(17);
        }
        assert_eq!(table.place(1).resource, 17);
    }

    #[test]
    fn the_number_of_places_is_bounded() {
        assert_eq!(Table::new(0).slots.len(), 16);
        assert_eq!(Table::new(100).slots.len(), 128);
        assert_eq!(Table::new(u32::MAX).slots.len(), 1 << 20);
    }
}
