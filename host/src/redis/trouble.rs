//! What may come of a command instead of an answer. Every one is a reason to go on without Redis, not to fail.

use std::sync::Arc;
use std::time::Duration;

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no connection. It is being established again and again.
    #[error("redis: not connected to {node}: {why}")]
    Absent {
        /// Which node.
        node: Arc<str>,
        /// What became of the last attempt.
        why: Arc<str>,
    },
    /// The connection broke while the answer was awaited. The command may have been carried out.
    #[error("redis: the connection to {node} broke")]
    Lost {
        /// Which node.
        node: Arc<str>,
    },
    /// The answer took too long. The command may have been carried out.
    #[error("redis: no answer within {} ms", .after.as_millis())]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The node has failed so often that it is not asked at the moment.
    #[error("redis: {node} is not asked until it answers again")]
    Open {
        /// Which node.
        node: Arc<str>,
    },
    /// More commands wait than may.
    #[error("redis: too many commands wait")]
    Busy,
    /// It has no memory left for what is to be written (`OOM`).
    #[error("redis: {node} has no memory left")]
    Full {
        /// Which node.
        node: Arc<str>,
    },
    /// It answered that it will not.
    #[error("redis: {node} refuses: {why}")]
    Refused {
        /// Which node.
        node: Arc<str>,
        /// Its words.
        why: Arc<str>,
    },
    /// A value is longer than may be.
    #[error("redis: a value of {bytes} bytes is longer than {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The thread that speaks to Redis has ended.
    #[error("redis: the link has ended")]
    Ended,
}

impl Trouble {
    /// Every [`Self::reason`].
    pub const REASONS: [&'static str; 9] =
        ["absent", "lost", "timeout", "open", "busy", "full", "refused", "too_long", "ended"];

    /// A word for it: what metrics call it.
    pub fn reason(&self) -> &'static str {
        Self::REASONS.get(self.number()).copied().unwrap_or_default()
    }

    /// Its place in [`Self::REASONS`].
    pub(super) fn number(&self) -> usize {
        match self {
            Self::Absent { .. } => 0,
            Self::Lost { .. } => 1,
            Self::Timeout { .. } => 2,
            Self::Open { .. } => 3,
            Self::Busy => 4,
            Self::Full { .. } => 5,
            Self::Refused { .. } => 6,
            Self::TooLong { .. } => 7,
            Self::Ended => 8,
        }
    }
}
