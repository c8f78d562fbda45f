//! What plugins may remove from the cache, in this room's own words.
//!
//! Border: the cache is another station, so it is handed in as a [`Purges`] where everything is put together.

#[cfg(test)]
mod tests;

/// What is to be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeTarget<'a> {
    /// One key as the cache stores it.
    Key(&'a str),
    /// Everything stored for a URL: scheme, authority, path and query.
    Url(&'a str),
    /// Everything that was stored with this tag.
    Tag(&'a str),
    /// Everything stored for a URL that matches; `*` stands for anything.
    Pattern(&'a str),
    /// A namespace.
    Version(&'a str),
    /// Everything.
    All,
}

impl<'a> PurgeTarget<'a> {
    /// A stable word for logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Url(_) => "url",
            Self::Tag(_) => "tag",
            Self::Pattern(_) => "pattern",
            Self::Version(_) => "version",
            Self::All => "all",
        }
    }

    /// What the plugin wrote; none where there is nothing to write.
    pub(super) const fn text(&self) -> Option<&'a str> {
        match self {
            Self::Key(text) | Self::Url(text) | Self::Tag(text) | Self::Pattern(text) | Self::Version(text) => {
                Some(text)
            }
            Self::All => None,
        }
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeMode {
    /// It is removed.
    Hard,
    /// It is marked stale.
    Soft,
}

/// Who purges.
pub trait Purges: Send + Sync {
    /// Called once per `purge` of a plugin that is granted `cache`, on the worker and inside the plugin's call: it must not wait. When it
    /// returns, this process gives nothing of the target any more; what other instances need to know travels on its own.
    ///
    /// Texts are not empty and have 8 KiB at most; nothing else is known of them. Gives how many objects were hit, 0 where they are not
    /// counted. An error is for the plugin and the log.
    fn purge(&self, target: PurgeTarget<'_>, mode: PurgeMode) -> Result<u64, String>;
}

/// Where there is no cache.
pub(super) struct NoCache;

impl Purges for NoCache {
    fn purge(&self, _: PurgeTarget<'_>, _: PurgeMode) -> Result<u64, String> {
        Err("this gateway has no cache".to_owned())
    }
}
