//! Notices changes of files and folders.
//!
//! Says only *that* something changed, once it has been quiet for a moment: what changed is found by looking. Copying a large
//! file is many events and one change. Folders are watched under their real names, so that two spellings of one do not
//! get into each other's way.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

/// Quiet for this long means that whoever wrote has finished.
const QUIET: Duration = Duration::from_millis(120);
/// A folder that never becomes quiet is looked at nevertheless.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How often to look where the system cannot tell.
const POLL: Duration = Duration::from_secs(1);

/// Which of the watched things changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watched {
    /// A plugin folder.
    pub folder: bool,
    /// One of the configuration's files.
    pub configuration: bool,
    /// A plugin folder or file of the configuration was put in place, moved or removed: behind its name may be something else now, so
    /// that a new [`Watch`] is needed.
    pub moved: bool,
}

impl Watched {
    const ALL: Self = Self { folder: true, configuration: true, moved: true };

    fn add(&mut self, other: Self) {
        self.folder |= other.folder;
        self.configuration |= other.configuration;
        self.moved |= other.moved;
    }
}

/// Watches as long as it lives.
pub struct Watch {
    _watcher: Box<dyn Watcher + Send>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// Watches plugin folders and files, calling `changed` on a thread of its own. The files' folders are watched rather than the
    /// files, since editors and deployments replace a file by another of the same name; and the folders around the plugin folders,
    /// since these may be replaced as well. A plugin folder that is not there is waited for.
    pub fn new(
        folders: &[PathBuf],
        configuration: &[PathBuf],
        changed: impl FnMut(Watched) + Send + 'static,
    ) -> notify::Result<Self> {
        let (sender, events) = mpsc::channel();
        let interest = Interest::new(folders, configuration);
        let (present, around) = (interest.folders.clone(), interest.around());
        let mut watcher = watcher(&sender, &interest)?;
        for folder in &present {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                // Gone since; the folder around it tells when it comes back.
                Err(_) if !folder.exists() => {}
                watched => watched?,
            }
        }
        for folder in around.iter().filter(|folder| !present.contains(folder)) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        let spawned = thread::Builder::new().name("watch".into()).spawn(move || follow(&events, changed));
        spawned.map_err(notify::Error::io)?;
        Ok(Self { _watcher: watcher })
    }
}

fn watcher(sender: &Sender<Watched>, interest: &Interest) -> notify::Result<Box<dyn Watcher + Send>> {
    let handler = |sender: Sender<Watched>, interest: Interest| {
        move |event: notify::Result<notify::Event>| {
            // What nobody asked about does not count as noise either.
            if let Ok(event) = event
                && let watched = interest.of(&event)
                && watched != Watched::default()
            {
                // Nobody listens any more only when the gateway ends.
                let _ = sender.send(watched);
            }
        }
    };
    match RecommendedWatcher::new(handler(sender.clone(), interest.clone()), notify::Config::default()) {
        Ok(watcher) => Ok(Box::new(watcher)),
        Err(error) => {
            tracing::warn!(%error, "the system cannot watch files; they are looked at every second");
            let config = notify::Config::default().with_poll_interval(POLL);
            Ok(Box::new(PollWatcher::new(handler(sender.clone(), interest.clone()), config)?))
        }
    }
}

/// A file's or folder's place: the real folder that it is in, and its name there.
type Place = (PathBuf, OsString);

/// Where something is; none for a root, which nobody replaces, and where the folder around it is not there.
fn place(path: &Path) -> Option<Place> {
    let path = std::path::absolute(path).ok()?;
    Some((fs::canonicalize(path.parent()?).ok()?, path.file_name()?.to_owned()))
}

#[derive(Debug, Clone)]
struct Interest {
    /// The plugin folders that are there, under their real names.
    folders: Vec<PathBuf>,
    /// Where they are, and where the links are that lead to them.
    folder_places: Vec<Place>,
    /// Where the configuration's files are, and where the files are that links lead to.
    file_places: Vec<Place>,
}

impl Interest {
    fn new(folders: &[PathBuf], configuration: &[PathBuf]) -> Self {
        let real = |paths: &[PathBuf]| -> Vec<PathBuf> {
            let mut real: Vec<_> = paths.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
            real.sort_unstable();
            real.dedup();
            real
        };
        let places = |paths: &[PathBuf]| -> Vec<Place> {
            let mut places: Vec<_> = paths.iter().chain(&real(paths)).filter_map(|path| place(path)).collect();
            places.sort_unstable();
            places.dedup();
            places
        };
        Self { folders: real(folders), folder_places: places(folders), file_places: places(configuration) }
    }

    /// The folders around everything.
    fn around(&self) -> Vec<PathBuf> {
        let places = self.folder_places.iter().chain(&self.file_places);
        let mut around: Vec<_> = places.map(|(parent, _)| parent.clone()).collect();
        around.sort_unstable();
        around.dedup();
        around
    }

    /// What an event says about the things that are watched.
    fn of(&self, event: &notify::Event) -> Watched {
        // The system lost count: anything may have changed.
        if event.need_rescan() {
            return Watched::ALL;
        }
        let mut watched = Watched::default();
        // Reading is not changing; without this, our own reading would be the next event.
        if matches!(event.kind, EventKind::Access(_)) {
            return watched;
        }
        // Other permissions leave a folder where it is.
        let moves = !matches!(event.kind, EventKind::Modify(ModifyKind::Metadata(_) | ModifyKind::Data(_)));
        for path in &event.paths {
            watched.add(self.of_path(path, moves));
        }
        watched
    }

    fn of_path(&self, path: &Path, moves: bool) -> Watched {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Watched::default() };
        let is_it = |(folder, file): &Place| folder == parent && file == name;
        let is_wasm = path.extension().is_some_and(|extension| extension == "wasm");
        // A volume of Kubernetes shows its files through this link, and replaces all of them by replacing it.
        let is_volume = name == "..data";
        let in_folder = self.folders.iter().any(|folder| folder == parent);
        let is_folder = self.folder_places.iter().any(is_it);
        let is_file = self.file_places.iter().any(is_it)
            || is_volume && self.file_places.iter().any(|(folder, _)| folder == parent);
        Watched {
            folder: is_folder || in_folder && (is_wasm || is_volume),
            configuration: is_file,
            moved: moves && (is_folder || is_file) || is_volume && in_folder,
        }
    }
}

fn follow(events: &Receiver<Watched>, mut changed: impl FnMut(Watched)) {
    while let Ok(mut watched) = events.recv() {
        let first = crate::time::now();
        while first.elapsed() < QUIET_MAX {
            match events.recv_timeout(QUIET) {
                Ok(more) => watched.add(more),
                // Also when the watch is over: what has been seen is told.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        changed(watched);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Longest wait for a change that must be told.
    const DEADLINE: Duration = Duration::from_secs(20);

    fn watch(folder: &Path, file: &Path) -> (Watch, Receiver<Watched>) {
        let (sender, changes) = mpsc::channel();
        let changed = move |watched| sender.send(watched).unwrap_or_default();
        (Watch::new(&[folder.to_owned()], &[file.to_owned()], changed).unwrap(), changes)
    }

    fn told(changes: &Receiver<Watched>) -> Watched {
        changes.recv_timeout(DEADLINE).unwrap()
    }

    const FOLDER: Watched = Watched { folder: true, configuration: false, moved: false };

    #[test]
    fn two_spellings_of_one_folder_do_not_get_into_each_others_way() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("all")).unwrap();
        std::os::unix::fs::symlink("all", root.path().join("also")).unwrap();
        let (folder, file) = (root.path().join("all"), root.path().join("also/./main.json"));
        let (_watch, changes) = watch(&folder, &file);
        fs::write(folder.join("a.wasm"), "").unwrap();
        assert_eq!(told(&changes), FOLDER);
        fs::write(&file, "").unwrap();
        assert!(told(&changes).configuration);
        fs::write(folder.join("notes.txt"), "").unwrap();
        fs::write(folder.join("b.wasm"), "").unwrap();
        assert_eq!(told(&changes), FOLDER, "other files are noise");
    }

    #[test]
    fn a_folder_that_is_replaced_is_noticed_also_where_it_is_a_link() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("one")).unwrap();
        fs::create_dir(at("two")).unwrap();
        fs::create_dir(at("etc")).unwrap();
        std::os::unix::fs::symlink(at("one"), at("plugins")).unwrap();
        let (first, changes) = watch(&at("plugins"), &at("etc/main.json"));
        std::os::unix::fs::symlink(at("two"), at("next")).unwrap();
        fs::rename(at("next"), at("plugins")).unwrap();
        assert_eq!(told(&changes), Watched { moved: true, ..FOLDER });
        drop(first);
        let (second, changes) = watch(&at("plugins"), &at("etc/main.json"));
        fs::write(at("two/a.wasm"), "").unwrap();
        assert_eq!(told(&changes), FOLDER);
        fs::remove_dir_all(at("two")).unwrap();
        assert!(told(&changes).moved);
        drop(second);
        // Nothing there: its return is awaited.
        fs::remove_file(at("plugins")).unwrap();
        let (_third, changes) = watch(&at("plugins"), &at("etc/main.json"));
        fs::create_dir(at("plugins")).unwrap();
        assert_eq!(told(&changes), Watched { moved: true, ..FOLDER });
    }

    #[test]
    fn a_volume_that_swaps_its_link_counts_for_everything_in_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (folder, text) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("main.json"), text).unwrap();
        }
        fs::create_dir(at("plugins")).unwrap();
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/main.json", at("main.json")).unwrap();
        let (_watch, changes) = watch(&at("plugins"), &at("main.json"));
        std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(told(&changes), Watched { folder: false, configuration: true, moved: true });
    }

    #[test]
    fn what_was_noted_before_the_watch_ended_is_told() {
        let (sender, events) = mpsc::channel();
        sender.send(FOLDER).unwrap();
        drop(sender);
        let mut told = Vec::new();
        follow(&events, |watched| told.push(watched));
        assert_eq!(told, [FOLDER]);
    }
}
