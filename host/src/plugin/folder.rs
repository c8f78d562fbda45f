//! The plugin folder: which files are there, and what they hold.
//!
//! Reading is cheap when nothing changed: a file whose size, time and inode are the same is not read again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::code::Code;
use super::error::LoadError;
use super::services::Services;
use crate::names::Name;

/// Largest file that is read. Compiling takes about a second per MB; this is a mistake, not a plugin.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a file's identity looked like when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), bytes: metadata.len(), changed: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// What became of a file.
#[derive(Debug, Clone)]
pub enum File {
    /// A plugin.
    Good(Arc<Code>),
    /// Something else; why.
    Bad(Arc<LoadError>),
}

/// The plugin folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    files: BTreeMap<Name, (Stamp, File)>,
}

impl Folder {
    /// A folder that has not been looked at.
    pub fn new(path: PathBuf) -> Self {
        Self { path, files: BTreeMap::new() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was there at the last [`Self::scan`].
    pub fn files(&self) -> impl Iterator<Item = (&Name, &File)> {
        self.files.iter().map(|(name, (_, file))| (name, file))
    }

    /// The file of a plugin.
    pub fn file(&self, plugin: &Name) -> Option<&File> {
        self.files.get(plugin).map(|(_, file)| file)
    }

    /// Looks at the folder and loads what is new or changed, several files at a time. A folder that is not there is an error.
    pub fn scan(&mut self, services: &Arc<Services>) -> std::io::Result<()> {
        let mut seen = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<Name>().ok())
            else {
                tracing::warn!(file = %path.display(), "ignored: rename it to letters, digits, `-`, `_` and `.`, and `.wasm`");
                continue;
            };
            // A link may point anywhere; what counts is the file behind it. One that vanished meanwhile is not there.
            if let Ok(metadata) = fs::metadata(&path)
                && metadata.is_file()
            {
                seen.insert(name, (path, Stamp::of(&metadata)));
            }
        }
        let mut old = std::mem::take(&mut self.files);
        let mut fresh = Vec::new();
        for (name, (path, stamp)) in seen {
            match old.remove(&name) {
                Some((known, file)) if known == stamp => drop(self.files.insert(name, (stamp, file))),
                _ => fresh.push((name, path, stamp)),
            }
        }
        for (name, stamp, file) in load_all(services, fresh) {
            self.files.insert(name, (stamp, file));
        }
        Ok(())
    }
}

type Fresh = (Name, PathBuf, Stamp);

/// Loads files on as many threads as there are cores: at start nothing else needs them, and later there is rarely more than one.
fn load_all(services: &Arc<Services>, fresh: Vec<Fresh>) -> Vec<(Name, Stamp, File)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(fresh.len());
    let queue = std::sync::Mutex::new(fresh);
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
    let work = || {
        let mut done = Vec::new();
        while let Some((name, path, stamp)) = next() {
            let file = match load(services, &name, &path) {
                Ok(code) => File::Good(Arc::new(code)),
                Err(error) => File::Bad(Arc::new(error)),
            };
            done.push((name, stamp, file));
        }
        done
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        all.extend(others.into_iter().filter_map(|thread| thread.join().ok()).flatten());
        all
    })
}

fn load(services: &Arc<Services>, name: &Name, path: &Path) -> Result<Code, LoadError> {
    let bytes = fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { bytes, bytes_max: FILE_BYTES_MAX });
    }
    let started = crate::time::now();
    let code = Code::load(services, name, &fs::read(path)?)?;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(plugin = %name, hash = %code.hash, milliseconds, "compiled");
    Ok(code)
}
