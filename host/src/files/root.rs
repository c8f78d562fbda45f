//! The folder, and how files in it are opened.
//!
//! Everything is opened relative to the folder's descriptor by cap-std, which has the kernel refuse each path, and each symbolic link, that
//! would lead out of it (`openat2` with `RESOLVE_BENEATH`). Only regular files come out of here, and opening never waits.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::exchange::{Failure, Reason};
use crate::time::Instant;

/// How long a folder is held before its path is looked up again: so soon a new folder (or link) in its place is noticed.
const HELD: Duration = Duration::from_secs(1);

/// A folder that is held open.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    held: RefCell<Option<(Instant, Option<Rc<Dir>>)>>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, held: RefCell::default() }
    }

    /// The folder; none if it cannot be opened.
    pub(super) fn dir(&self, now: Instant) -> Option<Rc<Dir>> {
        let mut held = self.held.borrow_mut();
        if let Some((since, dir)) = &*held
            && now.saturating_duration_since(*since) < HELD
        {
            return dir.clone();
        }
        let dir = match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Ok(dir) => Some(Rc::new(dir)),
            Err(error) => {
                tracing::warn!(root = %self.path.display(), %error, "static files cannot be served");
                None
            }
        };
        *held = Some((now, dir.clone()));
        dir
    }
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file.
    File(OpenFile),
    /// A folder.
    Folder,
}

/// A regular file.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) stamp: Stamp,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In bytes.
    pub(super) size: u64,
    /// When it was modified, in seconds since the Unix epoch.
    pub(super) modified_s: i64,
    /// The nanoseconds of that.
    pub(super) modified_ns: i64,
    /// Its number on its file system.
    pub(super) inode: u64,
}

/// Opens what is at a path below the folder; none where there is nothing that may be shown.
pub(super) fn open(root: &Dir, path: &Path) -> Result<Option<Opened>, Failure> {
    let mut options = OpenOptions::new();
    // A pipe without a writer would be waited for, a terminal would become ours.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    let opened = root.open_with(path, &options).map(cap_std::fs::File::into_std);
    let file = match opened {
        Ok(file) => file,
        Err(error) => return absent(path, &error).map(|()| None),
    };
    let metadata = file.metadata().map_err(|error| broken(path, &error))?;
    if metadata.is_dir() {
        return Ok(Some(Opened::Folder));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let stamp = Stamp {
        size: metadata.size(),
        modified_s: metadata.mtime(),
        modified_ns: metadata.mtime_nsec(),
        inode: metadata.ino(),
    };
    Ok(Some(Opened::File(OpenFile { file, stamp })))
}

/// Opens a folder below the folder; none where there is none.
pub(super) fn open_folder(root: &Dir, path: &Path) -> Result<Option<Dir>, Failure> {
    match root.open_dir(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) => absent(path, &error).map(|()| None),
    }
}

/// Whether an error means no more than that there is nothing to show. What may not be read is not told from what is not there.
fn absent(path: &Path, error: &io::Error) -> Result<(), Failure> {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            Err(Failure::new(Reason::Overload, format!("{}: {error}", path.display())))
        }
        Some(Errno::IO) => Err(broken(path, error)),
        Some(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        _ => {
            // A link that leads out of the folder, and what may not be read.
            tracing::debug!(path = %path.display(), %error, "a file is not shown");
            Ok(())
        }
    }
}

fn broken(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Reason::Internal, format!("{}: {error}", path.display()))
}
