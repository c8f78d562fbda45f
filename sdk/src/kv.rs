//! A key-value store that all instances of the plugin share, and that survives a swap (WIT `kv`). Grant: `kv`.
//!
//! Every plugin has its own namespace, and every call is atomic.

use std::time::Duration;

use crate::Result;
use crate::export::milliseconds;
use crate::raw::kv;

pub use crate::raw::kv::KvError;

/// What is stored under `key`.
#[must_use]
pub fn get(key: &str) -> Option<Vec<u8>> {
    kv::get(key)
}

/// Stores `value`; it vanishes after `ttl`, where there is one.
///
/// # Errors
/// Key or value over a limit, or the plugin's quota used up.
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), KvError> {
    kv::set(key, value.as_ref(), ttl.map(milliseconds))
}

/// Removes `key`; true where there was something.
pub fn delete(key: &str) -> bool {
    kv::delete(key)
}

/// Stores `value` only where the present one equals `expected` (none: only where there is none). True where it did.
///
/// # Errors
/// Key or value over a limit, or the plugin's quota used up.
pub fn compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: impl AsRef<[u8]>,
    ttl: Option<Duration>,
) -> Result<bool, KvError> {
    kv::compare_and_swap(key, expected, value.as_ref(), ttl.map(milliseconds))
}

/// Adds `delta` to a decimal number and gives the sum; absent counts as 0. `ttl` is set when the number is created.
///
/// # Errors
/// What is stored is not a number, or a limit.
pub fn increment(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError> {
    kv::increment(key, delta, ttl.map(milliseconds))
}
