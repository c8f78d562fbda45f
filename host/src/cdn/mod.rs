//! Purges forwarded to CDNs: what leaves our cache is asked to leave theirs, too.
//!
//! Border: whoever purges hands a [`Purge`] over and goes on; this room talks to the CDNs on a thread of its own, and knows nothing of
//! our own cache. Invariants: nobody who purges ever waits; what is held is bounded, and what does not fit is counted and said; no
//! token is ever shown.

mod form;
mod line;
mod queue;
mod report;
mod template;
mod thread;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::names::Name;
use crate::outbound::{Retries, Trust};

pub use form::{Base, Custom, Form, Token};
pub use report::{Report, expose};
pub use template::{Json, Template, Text, TextPart};

use thread::Shared;

/// What is purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// Whatever has one of these tags (surrogate keys).
    Tags(Vec<Box<str>>),
    /// What is stored for these URLs: absolute ones, as clients of the CDN ask for them.
    Urls(Vec<Box<str>>),
    /// Everything.
    All,
}

/// How it is purged. Of two for the same thing the later variant does what the earlier one does and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It is stale from now on, and may be served while it is fetched anew. A CDN that knows no such thing purges hard.
    Soft,
    /// It is gone.
    Hard,
}

/// A CDN, and how it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name, unique.
    pub name: Name,
    /// How it is spoken to.
    pub form: Form,
    /// Whom we take for it, where one of its URLs is an `https` one.
    pub trust: Option<Trust>,
    /// Longest time for one request, connecting and answer included.
    pub timeout: Duration,
    /// When it is asked again.
    pub retries: Retries,
    /// Most tags and URLs that wait for it; what comes then is lost.
    pub queue_max: usize,
}

/// Forwards purges to the CDNs of the present configuration. A clone is another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Forwarder(Arc<Shared>);

impl Forwarder {
    /// Forwards to these CDNs from now on. What waits for one that keeps its name still goes there; what waits for one that is not
    /// named any more is given up. The thread is started when there is something to do for the first time.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn adopt(&self, settings: &[Settings]) -> io::Result<()> {
        self.0.adopt(settings)
    }

    /// Forwards a purge to every CDN, in the background. Never waits; what finds no room is counted and logged.
    pub fn forward(&self, purge: Purge, mode: Mode) {
        self.0.forward(purge, mode);
    }

    /// Whether there is any CDN to be told.
    pub fn has_any(&self) -> bool {
        self.0.is_active()
    }

    /// How many tags, URLs and other purges have not been answered for yet.
    pub fn pending(&self) -> usize {
        self.0.pending()
    }

    /// What has become of purges so far, by CDN.
    pub fn report(&self) -> Vec<Report> {
        self.0.report()
    }
}
