//! Purging: the one place through which the purges of operators and plugins go.
//!
//! A purge is brought into the spelling that the cache knows, tags are followed to what depends on them, the cache is told, then the CDNs.
//! Invariant: once a purge has returned, this process gives nothing any more of what it means.

mod dependencies;
mod receipt;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::join_all;

use crate::cache::{By, Cache, Confirmed, Mode, Selection, Sort};
use crate::cdn::{self, Forwarder};
use crate::http::{UrlError, canonical_pattern, canonical_url};
use crate::plugin::{PurgeMode, PurgeTarget, Purges};

pub use dependencies::Dependencies;
pub use receipt::{Receipt, Told};

/// What is to be purged, as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    /// All of this holds for it. Nothing here: everything.
    pub selection: Selection,
    /// It has one of these tags or of those that depend on them; none here: whatever tags it has.
    pub tags: Vec<String>,
    /// How.
    pub mode: Mode,
}

/// Whether the stored responses that are hit are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// They are: everything that is stored is looked at.
    Counted,
    /// They are not, which takes no time.
    Uncounted,
}

/// Why nothing is purged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL is none.
    #[error("url: {0}")]
    Url(UrlError),
    /// The pattern matches nothing.
    #[error("pattern: {0}")]
    Pattern(UrlError),
    /// The system gives no thread to purge on.
    #[error("the system gives no thread; try again")]
    System,
}

/// Purges.
#[derive(Debug)]
pub struct Purger {
    cache: Arc<Cache>,
    cdn: Forwarder,
    dependencies: RwLock<Arc<Dependencies>>,
}

/// A purge in the spelling of the cache.
struct Prepared {
    /// Everything that is purged is in one of these.
    selections: Vec<Selection>,
    sort: Sort,
    mode: Mode,
    by: By,
}

impl Purger {
    /// Purges this cache, and what these CDNs have of it.
    pub fn new(cache: Arc<Cache>, cdn: Forwarder) -> Self {
        Self { cache, cdn, dependencies: RwLock::default() }
    }

    /// Takes over which tags depend on which.
    pub fn adopt(&self, dependencies: &Arc<Dependencies>) {
        *self.dependencies.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(dependencies);
    }

    /// What is purged.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Purges for an operator, and waits until the other instances have heard of it, for a few seconds at most. Needs an event loop, which
    /// it leaves to others meanwhile.
    ///
    /// # Errors
    ///
    /// If the URL or the pattern is none. Then nothing is purged.
    pub async fn purge(self: &Arc<Self>, purge: Purge, counting: Counting) -> Result<Receipt, Refused> {
        let prepared = self.prepare(purge, By::Admin)?;
        let (purger, events) = (Arc::clone(self), tokio::runtime::Handle::current());
        // Once begun, it is done whether or not anybody still waits for the receipt.
        let done = tokio::task::spawn_blocking(move || {
            if counting == Counting::Counted {
                // So that what earlier purges hit is not counted here.
                purger.cache.compare();
            }
            let (selections, mode) = (&prepared.selections, prepared.mode);
            let everywhere = selections.iter().map(|selection| purger.cache.purge_everywhere(selection, mode));
            let done = events.block_on(join_all(everywhere));
            let hit = (counting == Counting::Counted).then(|| purger.cache.compare());
            let number = done.iter().map(|(number, _)| *number).max().unwrap_or_default();
            let confirmed = done.into_iter().map(|(_, confirmed)| confirmed).max_by_key(|confirmed| *confirmed as u8);
            purger.finish(prepared, (number, hit, confirmed.unwrap_or(Confirmed::All)))
        });
        done.await.map_err(|_| Refused::System)
    }

    /// Purges at once, without waiting for anything; other instances are told meanwhile.
    ///
    /// # Errors
    ///
    /// If the URL or the pattern is none. Then nothing is purged.
    pub fn purge_now(&self, purge: Purge, by: By) -> Result<Receipt, Refused> {
        let prepared = self.prepare(purge, by)?;
        let numbers = prepared.selections.iter().map(|selection| self.cache.purge(selection, prepared.mode));
        let number = numbers.max().unwrap_or_default();
        Ok(self.finish(prepared, (number, None, Confirmed::Pending)))
    }

    fn prepare(&self, purge: Purge, by: By) -> Result<Prepared, Refused> {
        let Purge { mut selection, mut tags, mode } = purge;
        if let Some(url) = &mut selection.url {
            *url = canonical_url(url).map_err(Refused::Url)?;
        }
        if let Some(pattern) = &mut selection.pattern {
            *pattern = canonical_pattern(pattern).map_err(Refused::Pattern)?;
        }
        tags.extend(selection.tag.take());
        let dependencies = Arc::clone(&self.dependencies.read().unwrap_or_else(PoisonError::into_inner));
        let tags = dependencies.expanded(tags.iter().map(String::as_str));
        let selections: Vec<Selection> = match tags.is_empty() {
            true => vec![selection],
            false => tags.iter().map(|tag| Selection { tag: Some((*tag).to_owned()), ..selection.clone() }).collect(),
        };
        let sort = selections.first().map_or(Sort::Tag, Sort::of);
        Ok(Prepared { selections, sort, mode, by })
    }

    /// Tells the CDNs and writes the receipt, once the caches have been purged.
    fn finish(&self, prepared: Prepared, (number, hit, confirmed): (u64, Option<u64>, Confirmed)) -> Receipt {
        let Prepared { selections, sort, mode, by } = prepared;
        // After our own: what a CDN fetches anew in between must not be what it had.
        let told = self.tell_cdns(&selections, mode);
        self.cache.tally().purged(by, sort, mode);
        let (kind, how) = (sort.as_str(), mode.as_str());
        match by {
            By::Admin => tracing::info!(number, kind, mode = how, hit, ?confirmed, "an operator has purged"),
            By::Plugin | By::Request => tracing::debug!(number, by = by.as_str(), kind, mode = how, "purged"),
        }
        let selection = Selection { tag: None, ..selections.first().cloned().unwrap_or_default() };
        let tags = selections.into_iter().filter_map(|selection| selection.tag).collect();
        Receipt { number, sort, mode, selection, tags, hit, confirmed, told }
    }

    /// Forwards what CDNs understand: tags, URLs, everything, but no conditions beside.
    fn tell_cdns(&self, selections: &[Selection], mode: Mode) -> Told {
        if !self.cdn.has_any() {
            return Told::NoCdn;
        }
        let text = |text: &String| text.as_str().into();
        let purge = match selections.first() {
            None | Some(Selection { url: Some(_), tag: Some(_), .. }) => return Told::CannotBe,
            Some(Selection { url: None, tag: None, .. }) => cdn::Purge::All,
            Some(Selection { url: Some(url), .. }) => cdn::Purge::Urls(vec![text(url)]),
            Some(_) => cdn::Purge::Tags(selections.iter().filter_map(|one| one.tag.as_ref().map(text)).collect()),
        };
        let bare = |one: &Selection| Selection { url: None, tag: None, ..one.clone() } == Selection::default();
        if !selections.iter().all(bare) {
            return Told::CannotBe;
        }
        let mode = match mode {
            Mode::Hard => cdn::Mode::Hard,
            Mode::Soft => cdn::Mode::Soft,
        };
        self.cdn.forward(purge, mode);
        Told::Told
    }
}

impl Purges for Purger {
    fn purge(&self, target: PurgeTarget<'_>, mode: PurgeMode) -> Result<u64, String> {
        let nothing = Selection::default();
        let (selection, tags) = match target {
            PurgeTarget::Key(key) => (Selection { key: Some(key.to_owned()), ..nothing }, Vec::new()),
            PurgeTarget::Url(url) => (Selection { url: Some(url.to_owned()), ..nothing }, Vec::new()),
            PurgeTarget::Tag(tag) => (nothing, vec![tag.to_owned()]),
            PurgeTarget::Pattern(pattern) => (Selection { pattern: Some(pattern.to_owned()), ..nothing }, Vec::new()),
            PurgeTarget::Version(name) => (Selection { namespace: Some(name.to_owned()), ..nothing }, Vec::new()),
            PurgeTarget::All => (nothing, Vec::new()),
        };
        let mode = match mode {
            PurgeMode::Hard => Mode::Hard,
            PurgeMode::Soft => Mode::Soft,
        };
        let receipt = self.purge_now(Purge { selection, tags, mode }, By::Plugin);
        receipt.map(|receipt| receipt.hit.unwrap_or_default()).map_err(|refused| refused.to_string())
    }
}
