//! The memory cache: what the handler gave, kept under a key for as long as it is fresh.
//!
//! Bounded in bytes. It keeps responses before any `post-handler` hook, so that per-request hooks still run on a hit.

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of all stored responses together, heads and keys included.
    pub memory_bytes_max: u64,
    /// A response with a longer body is passed through and not stored.
    pub object_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory_bytes_max: 256 * 1024 * 1024, object_bytes_max: 8 * 1024 * 1024 }
    }
}
