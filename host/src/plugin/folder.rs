//! The plugin folder: which files are there, and what they hold.
//!
//! Reading is cheap when nothing changed: a file whose size, time and inode are the same is not read again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::code::Code;
use super::error::LoadError;
use super::services::Services;
use crate::names::Name;
use crate::regular::{self, ReadError};

/// Largest file that is read. Compiling takes about a second per MB; this is a mistake, not a plugin.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a file's identity looked like when it was read. All zero where there was nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        // Not the time of modification, which whoever writes may set to what it was.
        Self { inode: metadata.ino(), bytes: metadata.len(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
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
#[derive(Debug, Clone)]
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

    /// Says that a plugin's file holds this from now on, as if it had been scanned. Without `metadata` the next scan reads the file again.
    pub fn put(&mut self, plugin: Name, code: Arc<Code>, metadata: Option<&Metadata>) {
        let stamp = metadata.map(Stamp::of).unwrap_or_default();
        self.files.insert(plugin, (stamp, File::Good(code)));
    }

    /// Says that a plugin's file is not there any more.
    pub fn take_out(&mut self, plugin: &Name) {
        self.files.remove(plugin);
    }

    /// Loads what is to become the file of a plugin, without looking at the folder. Blocks for as long as compiling takes.
    pub fn try_bytes(services: &Arc<Services>, plugin: &Name, bytes: &[u8]) -> Result<Code, LoadError> {
        let length = bytes.len() as u64;
        if length > FILE_BYTES_MAX {
            return Err(LoadError::TooLarge { bytes: length, bytes_max: FILE_BYTES_MAX });
        }
        guarded(|| Code::load(services, plugin, bytes))
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
            match fs::metadata(&path) {
                Ok(metadata) => drop(seen.insert(name, (path, Stamp::of(&metadata)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => drop(seen.insert(name, (path, Stamp::default()))),
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
            let file = guarded(|| load(services, &name, &path))
                .map_or_else(|error| File::Bad(Arc::new(error)), |code| File::Good(Arc::new(code)));
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

/// Makes a panic an error: one file that the compiler or a schema stumbles over is that file's problem only.
fn guarded<T>(load: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    // What is shared is only read, or is left as it was by whoever panics (the locks in it are taken over when poisoned).
    catch_unwind(AssertUnwindSafe(load))
        .unwrap_or_else(|_| Err(LoadError::Invalid("the compiler failed on it; the log says where".to_owned())))
}

/// The content of a regular file. Anything else may have no end, or wait for a writer as soon as it is opened.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let too_large = |bytes| LoadError::TooLarge { bytes, bytes_max: FILE_BYTES_MAX };
    regular::read(path, FILE_BYTES_MAX).map_err(|error| match error {
        ReadError::NotRegular => io::Error::other("it is not a regular file").into(),
        ReadError::TooLarge(_) => too_large(fs::metadata(path).map_or(FILE_BYTES_MAX + 1, |metadata| metadata.len())),
        ReadError::Io(error) => error.into(),
    })
}

fn load(services: &Arc<Services>, name: &Name, path: &Path) -> Result<Code, LoadError> {
    let bytes = read(path)?;
    let started = crate::time::now();
    let code = Code::load(services, name, &bytes)?;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(plugin = %name, hash = %code.hash, milliseconds, "compiled");
    Ok(code)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::plugin::metrics::Registry;

    fn services() -> Arc<Services> {
        Services::new(Arc::new(Registry::default())).unwrap()
    }

    fn why(folder: &Folder, plugin: &str) -> String {
        match folder.file(&plugin.parse().unwrap()).unwrap() {
            File::Bad(error) => error.to_string(),
            File::Good(code) => panic!("{code:?}"),
        }
    }

    #[test]
    fn a_panic_is_the_problem_of_one_file() {
        let error = guarded::<()>(|| panic!("a mistake in the compiler")).unwrap_err();
        assert!(error.to_string().contains("the compiler failed"), "{error}");
    }

    #[test]
    fn what_is_not_a_regular_file_is_told_and_never_opened() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("folder.wasm")).unwrap();
        assert!(Command::new("mkfifo").arg(root.path().join("pipe.wasm")).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", root.path().join("zero.wasm")).unwrap();
        std::os::unix::fs::symlink("loop.wasm", root.path().join("loop.wasm")).unwrap();
        std::os::unix::fs::symlink("nothing", root.path().join("dangling.wasm")).unwrap();
        let mut folder = Folder::new(root.path().to_owned());
        folder.scan(&services()).unwrap();
        for name in ["folder", "pipe", "zero"] {
            assert!(why(&folder, name).contains("not a regular file"), "{}", why(&folder, name));
        }
        assert!(why(&folder, "loop").contains("cannot read the file"));
        assert!(folder.file(&"dangling".parse().unwrap()).is_none());
    }

    #[test]
    fn an_overwritten_file_of_the_same_size_and_time_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.wasm");
        fs::write(&path, b"not wasm").unwrap();
        let written = fs::metadata(&path).unwrap();
        let (mut folder, services) = (Folder::new(root.path().to_owned()), services());
        folder.scan(&services).unwrap();
        assert!(why(&folder, "a").contains("not WebAssembly"));
        // The clock of files is coarse: until it has gone on, nothing could tell.
        while fs::metadata(&path).unwrap().ctime_nsec() == written.ctime_nsec() {
            fs::write(&path, b"\x7fELF....").unwrap();
        }
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(written.modified().unwrap()).unwrap();
        folder.scan(&services).unwrap();
        assert!(why(&folder, "a").contains("precompiled"));
    }
}
