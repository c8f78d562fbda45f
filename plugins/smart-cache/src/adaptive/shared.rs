//! What all workers know and a swap does not lose: histories in `kv`. Without the feature `kv` there is nothing here.

use super::History;

#[cfg(feature = "kv")]
mod kv {
    use std::time::Duration;

    use portcullis_sdk::kv;

    use super::History;

    /// A resource that nobody asked for in a week is forgotten.
    const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

    fn key(resource: u64) -> String {
        format!("h{resource:016x}")
    }

    pub(in crate::adaptive) fn load(resource: u64) -> Option<History> {
        kv::get(&key(resource)).and_then(|bytes| History::from_bytes(&bytes))
    }

    /// Two workers may learn at once; the last one wins, and the next response corrects it. A full store means that
    /// this instance learns on its own.
    pub(in crate::adaptive) fn store(resource: u64, history: &History) {
        let _ = kv::set(&key(resource), history.to_bytes(), Some(KEPT));
    }
}

#[cfg(feature = "kv")]
pub(super) use kv::{load, store};

#[cfg(not(feature = "kv"))]
pub(super) fn load(_: u64) -> Option<History> {
    None
}

#[cfg(not(feature = "kv"))]
pub(super) fn store(_: u64, _: &History) {}
