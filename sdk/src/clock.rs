//! The time (WIT `clock`). Grant: `clock`.

use crate::raw::clock;

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    clock::now_ms()
}

/// Nanoseconds on a clock that never goes back; only differences mean something.
#[must_use]
pub fn monotonic_ns() -> u64 {
    clock::monotonic_ns()
}
