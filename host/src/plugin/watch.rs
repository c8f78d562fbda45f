//! Notices changes of files and folders.
//!
//! Says only *that* something changed, once it has been quiet for a moment: what changed is found by looking. Copying a large
//! file is many events and one change.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

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
    /// The plugin folder.
    pub folder: bool,
    /// One of the configuration's files.
    pub configuration: bool,
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
    /// Watches a folder and files, calling `changed` on a thread of its own. The files' folders are watched rather than the files, since
    /// editors and deployments replace a file by another of the same name.
    pub fn new(
        folder: &Path,
        configuration: &[PathBuf],
        changed: impl FnMut(Watched) + Send + 'static,
    ) -> notify::Result<Self> {
        let (sender, events) = mpsc::channel();
        let mut watcher = watcher(&sender)?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        let mut parents: Vec<&Path> = configuration.iter().filter_map(|file| file.parent()).collect();
        parents.sort_unstable();
        parents.dedup();
        for parent in parents.into_iter().filter(|parent| *parent != folder) {
            watcher.watch(parent, RecursiveMode::NonRecursive)?;
        }
        let interest = Interest { folder: folder.to_owned(), configuration: configuration.to_vec() };
        let spawned = thread::Builder::new().name("watch".into()).spawn(move || follow(&events, &interest, changed));
        spawned.map_err(notify::Error::io)?;
        Ok(Self { _watcher: watcher })
    }
}

fn watcher(sender: &Sender<notify::Event>) -> notify::Result<Box<dyn Watcher + Send>> {
    let handler = |sender: Sender<notify::Event>| {
        move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event {
                // Nobody listens any more only when the gateway ends.
                let _ = sender.send(event);
            }
        }
    };
    match RecommendedWatcher::new(handler(sender.clone()), notify::Config::default()) {
        Ok(watcher) => Ok(Box::new(watcher)),
        Err(error) => {
            tracing::warn!(%error, "the system cannot watch files; they are looked at every second");
            let config = notify::Config::default().with_poll_interval(POLL);
            Ok(Box::new(PollWatcher::new(handler(sender.clone()), config)?))
        }
    }
}

struct Interest {
    folder: PathBuf,
    configuration: Vec<PathBuf>,
}

impl Interest {
    fn note(&self, event: &notify::Event, changed: &mut Watched) {
        // Reading is not changing; without this, our own reading would be the next event.
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        for path in &event.paths {
            if path.parent() == Some(&self.folder) && path.extension().is_some_and(|extension| extension == "wasm") {
                changed.folder = true;
            }
            if self.configuration.contains(path) {
                changed.configuration = true;
            }
        }
        // The system lost count: anything may have changed.
        if event.need_rescan() {
            *changed = Watched { folder: true, configuration: true };
        }
    }
}

fn follow(events: &Receiver<notify::Event>, interest: &Interest, mut changed: impl FnMut(Watched)) {
    while let Ok(event) = events.recv() {
        let mut watched = Watched::default();
        interest.note(&event, &mut watched);
        let first = crate::time::now();
        while first.elapsed() < QUIET_MAX {
            match events.recv_timeout(QUIET) {
                Ok(event) => interest.note(&event, &mut watched),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        if watched != Watched::default() {
            changed(watched);
        }
    }
}
