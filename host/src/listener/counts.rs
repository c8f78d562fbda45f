//! How many connections a listener has had and has: written by its worker, read by operators.

use crate::telemetry::refusals::Refusals;
use crate::telemetry::times::Count;

/// The connections of one worker's listener.
#[derive(Debug, Default)]
pub struct Counts {
    /// Open ones.
    pub open: Count,
    /// Accepted ones, also those that were refused afterwards.
    pub accepted: Count,
    /// Closed at once, since their address had as many as it may.
    pub crowded: Count,
    /// Whose those were.
    pub crowds: Refusals,
    /// Closed since their client may not come.
    pub unwelcome: Count,
    /// Closed since they did not say for whom they were made, as they must.
    pub unannounced: Count,
    /// TLS handshakes that failed.
    pub handshakes_failed: Count,
}
