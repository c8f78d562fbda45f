//! Removes what the gateway has stored (WIT `cache`). Grant: `cache`.
//!
//! ```no_run
//! use portcullis_sdk::cache::{self, PurgeMode, PurgeTarget};
//! # fn hook() -> portcullis_sdk::Result<()> {
//! cache::purge_tag("article-17", PurgeMode::Soft)?;
//! cache::purge(&PurgeTarget::Pattern("https://example.com/news/*".to_owned()), PurgeMode::Hard)?;
//! # Ok(())
//! # }
//! ```
//!
//! What is purged is gone for all plugins and routes. Purging works in every hook that is called with a request, not in
//! [`init`](crate::Plugin::init) and [`destroy`](crate::Plugin::destroy).

use crate::raw::cache;
use crate::{Error, Result};

pub use crate::raw::cache::{PurgeMode, PurgeTarget};

/// Purges `target` and gives how many objects were hit, as far as that is known.
///
/// # Errors
/// What is wrong with the target, or why nothing can be purged. The gateway logs it, too.
pub fn purge(target: &PurgeTarget, mode: PurgeMode) -> Result<u64> {
    cache::purge(target, mode).map_err(Error::new)
}

/// Purges everything that was stored with a tag.
///
/// # Errors
/// As [`purge`].
pub fn purge_tag(tag: impl Into<String>, mode: PurgeMode) -> Result<u64> {
    purge(&PurgeTarget::Tag(tag.into()), mode)
}

/// Purges everything that was stored for a URL: scheme, authority, path and query.
///
/// # Errors
/// As [`purge`].
pub fn purge_url(url: impl Into<String>, mode: PurgeMode) -> Result<u64> {
    purge(&PurgeTarget::Url(url.into()), mode)
}

/// Says in `init` that this configuration needs the grant, for a plugin that asks for it with `?` (`grants = ["cache?"]`): where
/// it is missing, the configuration is refused with what to write where, and not the first request that purges.
pub fn require() {
    // Nothing is ever purged in `init`; without the grant this call, like any other, traps.
    let _ = cache::purge(&PurgeTarget::Tag(String::new()), PurgeMode::Soft);
}
