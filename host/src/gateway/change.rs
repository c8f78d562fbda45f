//! What a running gateway does when its files change.
//!
//! A change is made aside and takes effect whole; on any failure what is running stays, and `/status` says why. A configuration that was
//! refused because of its plugins is tried again when the plugin folder changes: files may come in any order.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::{Gateway, lines};
use crate::config::Config;
use crate::generation::{Generation, wanted};
use crate::modes;
use crate::plugin::{self, Change, Folder, Watch, Watched};

/// The folders and files that are watched, as they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

/// A configuration that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its plugin folder.
    directory: PathBuf,
    /// The files that were put into it, also those that are missing.
    included: Vec<PathBuf>,
    /// Whether only its plugins were wrong.
    plugins: bool,
}

/// Of what a change was refused, as `/status` names it.
mod of {
    pub(super) const CONFIGURATION: &str = "configuration";
    pub(super) const PLUGINS: &str = "plugins";
    pub(super) const FOLDER: &str = "folder";
}

impl Gateway {
    /// Watches what the running configuration is made of, and what the refused one is made of: repairing it is a change.
    /// Does nothing if all of that is watched already, unless told to look `anew`.
    pub(super) fn follow_files(&mut self, anew: bool) {
        let config = &self.generation.config;
        let mut followed = Followed { folders: vec![config.plugins.directory.clone()], files: self.source.files() };
        let add = |to: &mut Vec<PathBuf>, path: &PathBuf| {
            if !to.contains(path) {
                to.push(path.clone());
            }
        };
        config.included.iter().for_each(|file| add(&mut followed.files, file));
        if let Some(refused) = &self.refused {
            add(&mut followed.folders, &refused.directory);
            refused.included.iter().for_each(|file| add(&mut followed.files, file));
        }
        if !anew && followed == self.followed {
            return;
        }
        let control = self.control.clone();
        let watch = Watch::new(&followed.folders, &followed.files, move |watched| control.changed(watched));
        (self.watch, self.followed) = match watch {
            Ok(watch) => (Some(watch), followed),
            Err(error) => {
                tracing::error!(%error, "files cannot be watched; changes take effect after SIGHUP");
                (None, Followed::default())
            }
        };
    }

    /// Makes the next generation after a change of files. On any failure the present one stays.
    pub(super) fn change(&mut self, watched: Watched) {
        if watched.moved {
            self.follow_files(true);
        }
        // What the configuration waited for may have arrived.
        let again = self.refused.as_ref().is_some_and(|refused| refused.plugins);
        if (watched.configuration || again) && self.change_configuration(watched.configuration) {
            return;
        }
        if watched.folder {
            self.change_folder();
        }
    }

    /// Whether the configuration as it is now was taken over. What is tried once more without being `asked` for is not told again.
    fn change_configuration(&mut self, asked: bool) -> bool {
        let (config, problems) = self.source.examine();
        let (directory, included) = match &config {
            Some(config) => (config.plugins.directory.clone(), config.included.clone()),
            None => (self.generation.config.plugins.directory.clone(), Vec::new()),
        };
        let complete = problems.is_none() && config.is_some();
        self.refused = Some(Refused { directory, included, plugins: complete });
        // Before anything is looked at, so that no change from then on is missed.
        self.follow_files(false);
        let taken = match (config, problems) {
            (Some(config), None) => self.take_over(config),
            (_, problems) => {
                Err((of::CONFIGURATION, problems.map(|problems| problems.to_string()).unwrap_or_default()))
            }
        };
        let Err((of, what)) = taken else { return true };
        self.refuse(of, "configuration refused, the running one stays", what, asked);
        false
    }

    fn take_over(&mut self, config: Config) -> Result<(), (&'static str, String)> {
        // A configuration that is refused leaves the folder that serves as it is.
        let mut moved =
            (config.plugins.directory != self.folder.path()).then(|| Folder::new(config.plugins.directory.clone()));
        let folder = moved.as_mut().unwrap_or(&mut self.folder);
        folder.scan(&self.services).map_err(|error| (of::FOLDER, unreadable(folder, &error)))?;
        let next = self.generation.roster.next(&self.services, folder, &wanted(&config), Change::Configuration);
        let (roster, problems) = next.map_err(|refused| (of::PLUGINS, lines(&refused.0)))?;
        let generation = Generation::new(self.generation.number + 1, Arc::new(config), roster);
        let generation = generation.map_err(|error| (of::CONFIGURATION, error))?;
        if let Some(moved) = moved {
            self.folder = moved;
        }
        self.note(problems);
        self.refused = None;
        self.status.lock().unwrap_or_else(PoisonError::into_inner).refused = None;
        self.publish(generation);
        Ok(())
    }

    /// Takes over what changed in the plugin folder, under the configuration that serves.
    fn change_folder(&mut self) {
        if let Err(error) = self.folder.scan(&self.services) {
            let what = unreadable(&self.folder, &error);
            return self.refuse(of::FOLDER, "the running plugins stay", what, true);
        }
        let config = Arc::clone(&self.generation.config);
        let next = self.generation.roster.next(&self.services, &self.folder, &wanted(&config), Change::Folder);
        let (roster, problems) = match next {
            Ok(next) => next,
            Err(refused) => return self.refuse(of::PLUGINS, "the running plugins stay", lines(&refused.0), true),
        };
        self.note(problems);
        if self.refused.is_none() {
            self.status.lock().unwrap_or_else(PoisonError::into_inner).refused = None;
        }
        if roster.is_same(&self.generation.roster) {
            // Nothing that serves has changed; only what is wrong may have.
            return self.report();
        }
        match Generation::new(self.generation.number + 1, config, roster) {
            Ok(generation) => self.publish(generation),
            Err(error) => self.refuse(of::PLUGINS, "the running generation stays", error, true),
        }
    }

    /// Logs the problems that are new.
    fn note(&mut self, problems: Vec<plugin::Problem>) {
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::error!("{problem}");
        }
        self.problems = problems;
    }

    fn publish(&mut self, generation: Generation) {
        let before = std::mem::replace(&mut self.generation, Arc::new(generation));
        let (old, new) = (&before.config, &self.generation.config);
        if old.listeners != new.listeners
            || old.workers != new.workers
            || old.admin != new.admin
            || old.cache != new.cache
            || old.redis != new.redis
        {
            tracing::warn!("listeners, workers, admin, cache sizes and redis take effect at the next start");
        }
        for settings in &new.listeners {
            let running = self.tls.iter().find(|(address, _)| *address == settings.address);
            if let (Some((_, slot)), Some(tls)) = (running, &settings.tls) {
                slot.replace(tls.slot.acceptor());
            }
        }
        for (name, code, _) in self.generation.roster.plugins() {
            let known = before.roster.plugins().find(|(known, _, _)| *known == name);
            if known.is_none_or(|(_, before, _)| before.hash != code.hash) {
                tracing::info!(plugin = %name, version = %code.description.version, hash = %code.hash, "plugin takes over");
            }
        }
        for (name, _, _) in before.roster.plugins() {
            if self.generation.roster.plugins().all(|(known, _, _)| known != name) {
                tracing::info!(plugin = %name, "plugin leaves");
            }
        }
        tracing::info!(generation = self.generation.number, "generation takes over");
        modes::switch().keep_stale(self.generation.config.modes.stale_kept);
        // Before anybody goes by the new generation.
        self.bans.adopt(self.generation.config.overload.bans.as_ref());
        self.generations.send_replace(Arc::clone(&self.generation));
        self.tell_cdns();
        self.tell_traces();
        if let Some(purger) = &self.purger {
            purger.adopt(&self.generation.config.dependencies);
        }
        self.obtain_certificates();
        self.follow_files(false);
        self.report();
    }

    /// Lets `/status` say that a change is not made, and logs it if it was `asked` for or is another one than the last.
    fn refuse(&self, of: &'static str, outcome: &str, what: String, asked: bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if asked || status.refused.as_ref().is_none_or(|(_, known)| *known != what) {
            tracing::error!("{outcome}:\n{what}");
        }
        status.refused = Some((of, what));
    }

    pub(super) fn report(&self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.generation = Some(Arc::clone(&self.generation));
        status.board = Some(Arc::clone(&self.board));
        status.redis.clone_from(&self.redis);
        status.records = Some(Arc::clone(&self.records));
        status.metrics = Some(Arc::clone(&self.services.metrics));
        status.problems = self.problems.iter().map(ToString::to_string).collect();
    }
}

fn unreadable(folder: &Folder, error: &std::io::Error) -> String {
    format!("plugins.directory: cannot read {}: {error}; create the folder", folder.path().display())
}
