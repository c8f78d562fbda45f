//! Whether the configuration's files are what the gateway has read: what somebody writes by hand is never overwritten unread, and what an
//! order wrote is not read again.
//!
//! The main file is compared by what it says, the others by what identifies a file and its content.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::disk::Stamp;
use super::now_seconds;
use super::refusal::Refusal;
use crate::config::{self, Config};
use crate::gateway::Gateway;

/// The overlays and included files, as they were when an order read them.
#[derive(Debug)]
pub(super) struct Looks {
    /// In whole seconds since the Unix epoch.
    began: i64,
    files: Vec<(PathBuf, Option<Stamp>)>,
}

impl Looks {
    /// With the files that a configuration has put in besides. What was changed after they were first looked at may not have been read.
    pub(super) fn with(mut self, config: &Config) -> Self {
        for path in &config.included {
            if self.files.iter().all(|(known, _)| known != path) {
                let stamp = Stamp::of(path).filter(|stamp| stamp.changed().0 < self.began);
                self.files.push((path.clone(), stamp));
            }
        }
        self
    }
}

/// What the last order left behind.
#[derive(Debug)]
pub(super) struct Taken {
    /// The main file.
    pub(super) file: Option<Stamp>,
    /// The others.
    pub(super) looks: Looks,
}

impl Gateway {
    /// The files besides the main one, before an order reads them.
    pub(super) fn look(&self) -> Looks {
        let files = self.source.overlays.iter().chain(&self.generation.config.included);
        let files = files.map(|path| (path.clone(), Stamp::of(path)));
        Looks { began: now_seconds(), files: files.collect() }
    }

    /// Whether the files are still what the last order made of them, so that a change that was noticed is that one.
    pub(in crate::gateway) fn is_own_writing(&self) -> bool {
        let Some(Taken { file, looks }) = &self.desk.taken else { return false };
        let same = |path: &PathBuf| looks.files.iter().any(|(known, stamp)| known == path && *stamp == Stamp::of(path));
        let mut others = self.source.overlays.iter().chain(&self.generation.config.included);
        Stamp::of(&self.source.file) == *file && others.all(same)
    }

    /// Refuses where the main file says something that does not serve: an edit that has not been read yet, or was refused. An order
    /// would overwrite it.
    pub(super) fn check_unedited(&self) -> Result<(), Refusal> {
        let file = &self.source.file;
        let is_known = match &self.desk.held {
            // What serves is in memory only; the file was something else already then.
            Some(held) if !held.beside_an_edit => held.file == Stamp::of(file),
            _ => match config::document(file) {
                Ok(found) => found == *self.generation.config.written,
                // Where nothing is, nothing is lost.
                Err(_) => fs::symlink_metadata(file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound),
            },
        };
        if is_known { Ok(()) } else { Err(Refusal::Edited { file: file.clone() }) }
    }
}
