//! What clients see: Cache-Control by path, and no headers that were only for the cache. Sets are prepared; a response
//! costs one call to apply one, and one each for path and status where they decide.

use portcullis_sdk::prelude::*;

use crate::config::{Config, Errors};
use portcullis_sdk::pattern::Pattern;

/// One entry: where it applies, and the edits.
type Entry = (Pattern, Option<HeaderSet>);

/// The edits by path.
pub(crate) struct Client {
    entries: Vec<Entry>,
    /// Where no entry matches, and for errors that keep what they have.
    otherwise: Option<HeaderSet>,
    errors: Option<HeaderSet>,
    looks_at_status: bool,
}

impl Client {
    /// None where nothing is to be edited.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>> {
        let hidden: &[String] = if config.tags.show_headers { &[] } else { &config.tags.headers };
        let base = || hidden.iter().fold(HeaderSet::builder(), |builder, name| builder.remove(name));
        let prepare = |builder: portcullis_sdk::HeaderSetBuilder| {
            if builder.is_empty() { Ok(None) } else { builder.prepare().map(Some) }
        };
        let mut entries = Vec::new();
        for entry in &config.cache_control {
            let builder = match &entry.value {
                Some(value) if entry.if_absent => base().default_value("cache-control", value.as_str()),
                Some(value) => base().set("cache-control", value.as_str()),
                None => base(),
            };
            entries.push((entry.path.as_deref().map_or(Pattern::Any, Pattern::of_paths), prepare(builder)?));
        }
        let otherwise = prepare(base())?;
        let errors = match config.errors {
            Errors::NoStore => prepare(base().set("cache-control", "no-store"))?,
            Errors::Keep | Errors::Apply => otherwise,
        };
        if entries.is_empty() && otherwise.is_none() && config.errors != Errors::NoStore {
            return Ok(None);
        }
        let looks_at_status = match config.errors {
            Errors::Apply => false,
            Errors::Keep => !entries.is_empty(),
            Errors::NoStore => true,
        };
        Ok(Some(Self { entries, otherwise, errors, looks_at_status }))
    }

    /// Edits one response.
    pub(crate) fn apply(&self, request: &Request, response: &Response) {
        let set = if self.looks_at_status && response.status() >= 400 { self.errors } else { self.chosen(request) };
        if let Some(set) = set {
            response.apply(set);
        }
    }

    fn chosen(&self, request: &Request) -> Option<HeaderSet> {
        match self.entries.as_slice() {
            [] => self.otherwise,
            [(Pattern::Any, set), ..] => *set,
            entries => {
                // Where the readings of a path do not agree, what the origin says stays.
                request.plain_path().agreed(|reading| first(entries, reading)).flatten().unwrap_or(self.otherwise)
            }
        }
    }
}

/// The edits of the first entry that matches.
fn first(entries: &[Entry], path: &str) -> Option<Option<HeaderSet>> {
    entries.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, set)| *set)
}
