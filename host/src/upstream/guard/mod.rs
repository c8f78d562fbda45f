//! What keeps an upstream that is in trouble from getting into more: breaker, retries within a budget, a bounded queue.
//!
//! Border: the parts decide by values and the time they are given. Who sends, waits and asks for the time is `deliver`.

mod breaker;
mod budget;
mod deadline;
mod queue;
mod replay;
mod retry;

use std::time::Duration;

pub(super) use breaker::{Breaker, Outcome, Pass, Turn};
pub use breaker::{BreakerSettings, Slow};
pub(super) use budget::Budget;
pub use budget::BudgetSettings;
pub(super) use deadline::within;
pub(super) use queue::{Line, Queue};
pub(super) use replay::Replay;
pub(super) use retry::{Cause, backoff, retry_after};
pub use retry::{Methods, Retries, Trigger};

/// What an upstream is guarded by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    /// When it is not asked at all for a while; none: never.
    pub breaker: Option<BreakerSettings>,
    /// When a request is sent once more.
    pub retries: Retries,
    /// Requests that may wait for a connection.
    pub pending: Pending,
    /// Longest time from being asked until the response is complete, all tries and waits included; none: no limit.
    pub total_timeout: Option<Duration>,
}

/// Requests that may wait for a connection, per worker. They are served in the order in which they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many; 0: none, who would have to wait is refused.
    pub max: usize,
    /// For how long.
    pub timeout: Duration,
}
