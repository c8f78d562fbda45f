//! Whether a node is asked. Pure: who fails and who looks again is decided elsewhere.
//!
//! States: *closed* (asked) → after so many failures in a row → *open* (not asked, but looked at now and then) → after any answer →
//! *closed*.

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open: bool,
}

/// What a failure or an answer has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
    None,
}

impl Breaker {
    /// Whether the node is not to be asked.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// A command was not answered.
    pub(super) fn failed(&mut self, failures_max: u32) -> Change {
        self.failures = self.failures.saturating_add(1);
        if self.open || self.failures < failures_max {
            return Change::None;
        }
        self.open = true;
        Change::Opened
    }

    /// The node has answered, whatever it said.
    pub(super) fn answered(&mut self) -> Change {
        self.failures = 0;
        if std::mem::take(&mut self.open) { Change::Closed } else { Change::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.failed(2), Change::None);
        assert_eq!(breaker.answered(), Change::None);
        assert_eq!(breaker.failed(2), Change::None);
        assert!(!breaker.is_open());
        assert_eq!(breaker.failed(2), Change::Opened);
        assert!(breaker.is_open());
        assert_eq!(breaker.failed(2), Change::None, "those that were under way open nothing anew");
        assert_eq!(breaker.answered(), Change::Closed);
        assert!(!breaker.is_open());
        assert_eq!(breaker.failed(2), Change::None, "the count begins again");
    }
}
