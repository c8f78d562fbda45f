//! The last failures of each plugin, for operators: what failed, where, and at which request.
//!
//! Written only when a call fails, which is logged anyway; what is kept is bounded in number and length.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::names::{Hook, Name};

/// Failures that are kept of each plugin.
const KEPT: usize = 50;
/// Plugins of which failures are kept.
const PLUGINS_MAX: usize = 256;
/// Longest account of a failure, in bytes: a backtrace of a dozen frames.
const WHAT_BYTES_MAX: usize = 2048;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    /// When, as Unix time.
    pub at: Duration,
    /// The hook.
    pub hook: Hook,
    /// The route, where one had been found.
    pub route: Option<Name>,
    /// The request's id.
    pub request_id: String,
    /// The stable word for what happened.
    pub kind: &'static str,
    /// What happened.
    pub what: String,
}

/// The last failures of all plugins.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Name, VecDeque<FailedCall>>>);

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failures")
    }
}

impl Failures {
    /// Notes one.
    pub(super) fn note(&self, plugin: &Name, mut call: FailedCall) {
        if call.what.len() > WHAT_BYTES_MAX {
            let end = call.what.floor_char_boundary(WHAT_BYTES_MAX);
            call.what.truncate(end);
            call.what.push('…');
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(plugin) && all.len() >= PLUGINS_MAX {
            return;
        }
        let kept = all.entry(plugin.clone()).or_default();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(call);
    }

    /// Those of a plugin, newest first.
    pub(super) fn of(&self, plugin: &Name) -> Vec<FailedCall> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(plugin).map(|kept| kept.iter().rev().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_not_all_of_what_they_say() {
        let (failures, plugin) = (Failures::default(), "a".parse::<Name>().unwrap());
        for number in 0..120_u32 {
            let call = FailedCall {
                at: Duration::from_secs(u64::from(number)),
                hook: Hook::PreHandler,
                route: None,
                request_id: number.to_string(),
                kind: "trap",
                what: "é".repeat(4000),
            };
            failures.note(&plugin, call);
        }
        let kept = failures.of(&plugin);
        assert_eq!((kept.len(), kept.first().unwrap().request_id.as_str()), (KEPT, "119"));
        assert!(kept.iter().all(|call| call.what.len() <= WHAT_BYTES_MAX + 3));
        assert!(failures.of(&"b".parse().unwrap()).is_empty());
    }
}
