//! Where an alert stands.
//!
//! Pure. *Inactive* → the value is bad → *pending* → it has been for long enough → *firing* → it is good again → *resting* for the cooldown →
//! *inactive*. Without a time to hold it fires at once; without a cooldown there is no rest. What is bad at the end of a rest is pending
//! since it became so, or fires.

use std::time::Duration;

use crate::time::Instant;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// The value is good.
    #[default]
    Inactive,
    /// It is bad since then, but not for long enough.
    Pending(Instant),
    /// It has been bad for long enough.
    Firing,
    /// It was, and does not fire again before then.
    Resting {
        /// Before when.
        until: Instant,
        /// Since when the value is bad again, if it is.
        bad: Option<Instant>,
    },
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It fires.
    Fired,
    /// It is over.
    Resolved,
}

impl Phase {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive | Self::Resting { .. } => "inactive",
            Self::Pending(_) => "pending",
            Self::Firing => "firing",
        }
    }

    /// Where it stands now that the value is bad or not.
    pub fn next(self, is_bad: bool, (hold, cooldown): (Duration, Duration), now: Instant) -> (Self, Option<Change>) {
        let since = |since: Instant| match now.saturating_duration_since(since) >= hold {
            true => (Self::Firing, Some(Change::Fired)),
            false => (Self::Pending(since), None),
        };
        match (self, is_bad) {
            (Self::Inactive, true) => since(now),
            (Self::Pending(bad), true) => since(bad),
            (Self::Inactive | Self::Pending(_), false) => (Self::Inactive, None),
            (Self::Firing, true) => (Self::Firing, None),
            (Self::Firing, false) if cooldown.is_zero() => (Self::Inactive, Some(Change::Resolved)),
            (Self::Firing, false) => (Self::Resting { until: now + cooldown, bad: None }, Some(Change::Resolved)),
            (Self::Resting { until, bad }, is_bad) => {
                let bad = is_bad.then_some(bad.unwrap_or(now));
                match bad {
                    _ if now < until => (Self::Resting { until, bad }, None),
                    Some(bad) => since(bad),
                    None => (Self::Inactive, None),
                }
            }
        }
    }
}
