//! What a running gateway does when its files change.
//!
//! A change is made aside and takes effect whole; on any failure what is running stays, and `/api/v1/state` says why. A configuration that was
//! refused because of its plugins is tried again when the plugin folder changes: files may come in any order.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::plugins::{covered, lines};
use super::{Gateway, operate, telling};
use crate::admin::{self, Instruments};
use crate::config::Config;
use crate::generation::{Generation, wanted};
use crate::listener::Counts;
use crate::modes;
use crate::plugin::{self, Change, Folder, Watch, Watched};
use crate::telemetry::access::Opened;

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

/// Of what a change was refused, as `/api/v1/state` names it.
mod of {
    pub(super) const CONFIGURATION: &str = "configuration";
    pub(super) const PLUGINS: &str = "plugins";
    pub(super) const FOLDER: &str = "folder";
}

/// A generation that could take over.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) generation: Generation,
    /// The plugin folder that it is made of.
    pub(super) folder: Folder,
    /// What is wrong but tolerable.
    pub(super) problems: Vec<plugin::Problem>,
    /// Where its access log goes, if that has to be opened.
    pub(super) opened: Opened,
}

/// Why a configuration without mistakes of its own cannot take over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// The plugin folder cannot be read.
    #[error("{0}")]
    Folder(String),
    /// Its plugins are not what it wants.
    #[error("{}", lines(.0))]
    Plugins(Vec<plugin::Problem>),
    /// It cannot be planned.
    #[error("{0}")]
    Plan(String),
}

impl Unfit {
    const fn of(&self) -> &'static str {
        match self {
            Self::Folder(_) => of::FOLDER,
            Self::Plugins(_) => of::PLUGINS,
            Self::Plan(_) => of::CONFIGURATION,
        }
    }
}

/// The parts of a configuration in which two differ and that take effect at the next start only, as paths.
fn restart_needed(old: &Config, new: &Config) -> Vec<&'static str> {
    let parts = [
        ("$.workers", old.workers != new.workers),
        ("$.listeners", old.listeners != new.listeners),
        ("$.admin", places(old) != places(new)),
        ("$.cache", old.cache != new.cache),
        ("$.cache.warm", old.warm != new.warm),
        ("$.redis", old.redis != new.redis),
        ("$.log.format", old.log.format != new.log.format),
        ("$.overload.memory_bytes_max", old.overload.memory_bytes_max != new.overload.memory_bytes_max),
    ];
    parts.into_iter().filter(|(_, differ)| *differ).map(|(path, _)| path).collect()
}

impl Gateway {
    /// What takes effect at the next start only once `next` takes over from what serves; what comes back to how the process started does not.
    pub(super) fn waiting(&self, next: &Config) -> Vec<&'static str> {
        let since_start = restart_needed(&self.started, next);
        let now = restart_needed(&self.generation.config, next);
        now.into_iter().filter(|path| since_start.contains(path)).collect()
    }

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
    pub(super) fn change(&mut self, mut watched: Watched) {
        if watched.moved {
            self.follow_files(true);
        }
        // Whoever asks for a reload may have moved the file.
        self.records.access().reopen();
        // What an operator's order wrote serves already.
        watched.configuration &= !self.is_own_writing();
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
        let (config, problems) = self.examine();
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
        let Err((of, what)) = taken else {
            self.found_in_file();
            return true;
        };
        self.refuse(of, "configuration refused, the running one stays", what, asked);
        false
    }

    fn take_over(&mut self, config: Config) -> Result<(), (&'static str, String)> {
        let prepared = self.prepare(config).and_then(|prepared| self.open_outputs(prepared));
        let prepared = prepared.map_err(|unfit| (unfit.of(), unfit.to_string()))?;
        self.forget_refused();
        self.accept(prepared);
        Ok(())
    }

    /// Makes the next generation aside. Whatever comes of it, what is running stays.
    pub(super) fn prepare(&mut self, config: Config) -> Result<Prepared, Unfit> {
        // A configuration that is refused leaves the folder that serves as it is.
        let mut moved =
            (config.plugins.directory != self.folder.path()).then(|| Folder::new(config.plugins.directory.clone()));
        let folder = moved.as_mut().unwrap_or(&mut self.folder);
        folder.scan(&self.services).map_err(|error| Unfit::Folder(unreadable(folder, &error)))?;
        let folder = moved.unwrap_or_else(|| self.folder.clone());
        self.prepare_with(Arc::new(config), folder, Change::Configuration)
    }

    /// The same with this folder as it was scanned.
    pub(super) fn prepare_with(&self, config: Arc<Config>, folder: Folder, change: Change) -> Result<Prepared, Unfit> {
        let next = self.generation.roster.next(&self.services, &folder, &wanted(&config), change);
        // Plugins may repeat what they were configured with.
        let hidden = || operate::hidden(&config, &folder);
        let (roster, problems) = next.map_err(|refused| Unfit::Plugins(covered(refused.0, hidden)))?;
        let problems = covered(problems, hidden);
        let generation = Generation::new(self.generation.number + 1, Arc::clone(&config), roster);
        let generation = generation.map_err(|what| Unfit::Plan(hidden().cover_all(&what).into_owned()))?;
        Ok(Prepared { generation, folder, problems, opened: Opened::default() })
    }

    /// Opens what the next generation writes to. The last step that may fail.
    pub(super) fn open_outputs(&self, prepared: Prepared) -> Result<Prepared, Unfit> {
        let config = &prepared.generation.config;
        let opened = self.records.access().open(config.access_log.as_ref());
        let opened = opened.map_err(|what| Unfit::Plan(config.hidden.cover_all(&what).into_owned()))?;
        Ok(Prepared { opened, ..prepared })
    }

    /// Takes over what was prepared.
    pub(super) fn accept(&mut self, prepared: Prepared) {
        self.folder = prepared.folder;
        self.note(prepared.problems);
        self.publish(prepared.generation);
        self.tell_by(prepared.opened);
    }

    /// A configuration that was refused is no news any more.
    pub(super) fn forget_refused(&mut self) {
        self.refused = None;
        self.status.lock().unwrap_or_else(PoisonError::into_inner).refused = None;
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
            Err(refused) => {
                let what = lines(&covered(refused.0, || operate::hidden(&config, &self.folder)));
                return self.refuse(of::PLUGINS, "the running plugins stay", what, true);
            }
        };
        let problems = covered(problems, || operate::hidden(&config, &self.folder));
        self.note(problems);
        if self.refused.is_none() {
            self.status.lock().unwrap_or_else(PoisonError::into_inner).refused = None;
        }
        if roster.is_same(&self.generation.roster) {
            // Nothing that serves has changed; only what is wrong may have.
            return self.report();
        }
        match Generation::new(self.generation.number + 1, config, roster) {
            Ok(generation) => {
                self.publish(generation);
                // Plugins that are new have names.
                self.tell_by(Opened::default());
            }
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
        let waiting = self.waiting(&generation.config);
        let before = std::mem::replace(&mut self.generation, Arc::new(generation));
        let (old, new) = (&before.config, &self.generation.config);
        if old.log.filter != new.log.filter {
            telling::log_by(&new.log.filter);
        }
        if !waiting.is_empty() {
            tracing::warn!("{} will take effect at the next start", waiting.join(", "));
        }
        let operators = new.admin.iter().filter_map(|admin| admin.listener.as_ref());
        for settings in new.listeners.iter().chain(operators) {
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
        self.status.lock().unwrap_or_else(PoisonError::into_inner).instruments.changes.taken();
        // Before anybody goes by the new generation.
        self.bans().adopt(self.generation.config.overload.bans.as_ref());
        self.generations.send_replace(Arc::clone(&self.generation));
        self.tell_cdns();
        self.tell_traces();
        if let Some(purger) = &self.purger {
            purger.adopt(&self.generation.config.dependencies);
        }
        self.obtain_certificates();
        self.follow_files(false);
        self.report();
        // Last, since nothing that serves waits for it.
        self.keep_former(&before);
    }

    /// Lets `/api/v1/state` say that a change is not made, and logs it if it was `asked` for or is another one than the last.
    fn refuse(&self, of: &'static str, outcome: &str, what: String, asked: bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if asked || status.refused.as_ref().is_none_or(|(_, known)| *known != what) {
            tracing::error!("{outcome}:\n{what}");
            status.instruments.changes.refused();
        }
        status.refused = Some((of, what));
    }

    /// Lets operators read what is counted, from before anything is.
    pub(super) fn measure(&self, doors: Vec<(std::net::SocketAddr, Arc<Counts>)>) {
        let (records, services) = (Arc::clone(&self.records), Some(Arc::clone(&self.services)));
        let mut instruments = Instruments { records, services, doors, ..Instruments::default() };
        // The configuration that it starts with is one that was taken over.
        instruments.changes.taken();
        self.status.lock().unwrap_or_else(PoisonError::into_inner).instruments = instruments;
    }

    pub(super) fn report(&self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.generation = Some(Arc::clone(&self.generation));
        status.board = Some(Arc::clone(&self.board));
        status.redis.clone_from(&self.redis);
        status.metrics = Some(Arc::clone(&self.services.metrics));
        status.problems = self.problems.iter().map(ToString::to_string).collect();
        status.restart_needed = restart_needed(&self.started, &self.generation.config);
        drop(status);
        self.tell_operators();
    }
}

/// Where operators connect: what a running gateway does not change of `admin`.
fn places(config: &Config) -> Option<admin::Settings> {
    let admin = config.admin.clone();
    admin.map(|admin| admin::Settings { access: admin::Access::default(), ..admin })
}

fn unreadable(folder: &Folder, error: &std::io::Error) -> String {
    format!("plugins.directory: cannot read {}: {error}; create the folder", folder.path().display())
}
