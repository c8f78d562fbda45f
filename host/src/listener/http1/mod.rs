//! HTTP/1.1 on a client's connection (RFC 9112), our own from the bytes up.
//!
//! One task serves a connection. Messages are read strictly: what two readers could read differently is refused with one 400
//! and the end of the connection, so that nothing can be hidden between us and an upstream. An idle connection holds no buffer.

mod alarm;
mod body;
mod chunked;
mod connection;
mod encode;
mod head;
mod send;
mod wire;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::time::Duration;

pub(super) use connection::{Ended, serve};

/// How HTTP/1.1 is spoken on a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http1 {
    /// Longest time a connection is kept while nothing is asked.
    pub idle_timeout: Duration,
    /// Longest time between two pieces of a request body.
    pub body_timeout: Duration,
    /// Slowest request body, in bytes per second over ten seconds and longer.
    pub body_rate_min: u64,
    /// Longest time a client may leave a response unread.
    pub write_timeout: Duration,
    /// Longest request target in bytes; over it the answer is 414.
    pub target_bytes_max: usize,
    /// Requests on one connection; after them it is closed. None: any number.
    pub requests_max: Option<u64>,
}

/// How long a request body may take before its rate is looked at.
pub(super) const RATE_GRACE: Duration = Duration::from_secs(10);

impl Default for Http1 {
    fn default() -> Self {
        Self {
            // As long as nginx keeps one.
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(15),
            // Slower than any line that still is one; a sender of a byte per second is cut off.
            body_rate_min: 100,
            write_timeout: Duration::from_secs(60),
            // As in Apache and nginx.
            target_bytes_max: 8 * 1024,
            requests_max: None,
        }
    }
}
