//! The only place that asks for the time.
//!
//! Everything else takes an [`Instant`] or a Unix time as a value, so that what depends on time can be tested without
//! waiting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use std::time::Instant;

/// The monotonic time.
#[inline]
pub fn now() -> Instant {
    Instant::now()
}

/// The time since the Unix epoch; zero where the system clock stands before it.
#[inline]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time as files are stamped with it.
pub fn file_time() -> SystemTime {
    SystemTime::now()
}
