//! What the gateway is willing to do at the moment, and the words by which it tells its health: read by requests, written rarely.
//!
//! Border: who decides on a mode or a word is elsewhere; what follows from it is the pipeline's. There is one of each per process, because an
//! operator switches the process and not a generation. Invariant: reading takes one relaxed load and no lock.

mod switch;
mod words;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Page;
use crate::http::Network;

pub use switch::{By, Standing, Switch, switch};
pub use words::{Public, Question, Word, Words, words};

/// What the gateway is willing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything.
    #[default]
    Normal,
    /// What is stored is served although it is stale, and fetched anew in the background; what is not stored comes from the upstream.
    ServeStale,
    /// No upstream is asked: what is stored is served, fresh or stale, and everything else that a proxy would have to fetch is refused.
    CacheOnly,
    /// Requests that may change something are refused.
    ReadOnly,
    /// Everything is refused but health, and those clients that are let in.
    Maintenance,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Normal, Self::ServeStale, Self::CacheOnly, Self::ReadOnly, Self::Maintenance];

    /// The word of configuration, metrics and the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ServeStale => "serve_stale",
            Self::CacheOnly => "cache_only",
            Self::ReadOnly => "read_only",
            Self::Maintenance => "maintenance",
        }
    }

    /// Of two modes that are wanted at once the stricter one counts: the one that refuses more.
    const fn strictness(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::ServeStale => 1,
            Self::ReadOnly => 2,
            Self::CacheOnly => 3,
            Self::Maintenance => 4,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a mode; write normal, serve_stale, cache_only, read_only or maintenance")]
pub struct ModeError;

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(ModeError)
    }
}

/// What the modes do in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How stale something may be that is served in [`Mode::ServeStale`] and [`Mode::CacheOnly`].
    pub stale_max: Duration,
    /// For how long after its freshness something is kept for these modes, where the operator says so; none: as long as it is kept anyway.
    pub stale_kept: Option<Duration>,
    /// When a client that was refused may come again.
    pub retry_after: Duration,
    /// What is told in [`Mode::Maintenance`]; none: what is told of every failure.
    pub page: Option<Arc<Page>>,
    /// Clients that pass in [`Mode::Maintenance`].
    pub admitted: Vec<Network>,
}

impl Settings {
    /// As long as what can be validated is kept anyway.
    pub const STALE_MAX: Duration = Duration::from_secs(60 * 60);
    /// Long enough not to add to the trouble, short enough for people to wait.
    pub const RETRY_AFTER: Duration = Duration::from_secs(30);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stale_max: Self::STALE_MAX,
            stale_kept: None,
            retry_after: Self::RETRY_AFTER,
            page: None,
            admitted: Vec::new(),
        }
    }
}
