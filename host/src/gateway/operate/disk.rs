//! Files that are replaced in one step: what is read is the old one or the new one, whole, also after a crash.
//!
//! A file is staged beside its place (written, synced) and then committed (renamed, the folder synced). What is staged and not committed is
//! taken away. Nothing is staged where an operator has said, by permissions or links, that nothing is to be replaced.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// What identifies a file and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Of what is there; none where nothing is.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }

    /// Seconds and nanoseconds since the Unix epoch at which it was changed.
    pub(super) const fn changed(&self) -> (i64, i64) {
        self.changed
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), bytes: metadata.len(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

/// Whether a file may be replaced; if not, why.
pub(super) fn writable(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            return Err(format!("{shown} is a link, as in a mounted volume, and is not replaced"));
        }
        // Who takes all permissions to write away means it, even if we could.
        Ok(metadata) if metadata.permissions().mode() & 0o222 == 0 || access(path, Access::WRITE_OK).is_err() => {
            return Err(format!("{shown} is read-only"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{shown} cannot be looked at: {error}")),
    }
    let folder = folder_of(path);
    let closed = fs::metadata(&folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o222 == 0);
    if closed || access(&folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Err(format!("the folder {} is read-only", folder.display()));
    }
    Ok(())
}

/// Whether an error says that writing is not possible there (not allowed, or a file where a folder should be), rather than that it failed.
pub(super) fn is_forbidden(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | ResourceBusy | NotADirectory | AlreadyExists)
}

/// Makes a folder that only we may use, if there is none.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The content of a file that is about to be replaced.
#[derive(Debug)]
pub(super) struct Staged {
    aside: PathBuf,
    path: PathBuf,
    file: File,
    committed: bool,
}

impl Staged {
    /// Writes what is to become the file, which nobody else may read unless they may read the present one.
    pub(super) fn new(path: &Path, content: &[u8]) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or_else(|| io::Error::other("it has no name"))?);
        // Not `.wasm`: what is incomplete must not be taken for a plugin.
        name.push(".portcullis-new");
        let aside = folder_of(path).join(name);
        // A crash may have left one.
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        let mut staged = Self { aside, path: path.to_owned(), file, committed: false };
        staged.file.write_all(content)?;
        if let Ok(metadata) = fs::metadata(path) {
            // Others than the owner may be meant to read it. Who is not allowed to give a file away keeps it.
            let _ = std::os::unix::fs::fchown(&staged.file, Some(metadata.uid()), Some(metadata.gid()));
            staged.file.set_permissions(metadata.permissions())?;
        }
        staged.file.sync_all()?;
        Ok(staged)
    }

    /// The same with these permissions.
    pub(super) fn with_mode(self, mode: u32) -> io::Result<Self> {
        self.file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(self)
    }

    /// Puts it in place.
    pub(super) fn commit(mut self) -> io::Result<Metadata> {
        fs::rename(&self.aside, &self.path)?;
        self.committed = true;
        sync_folder(&self.path)?;
        self.file.metadata()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.aside);
        }
    }
}

/// Makes sure that names in the folder of a file are what they are also after a crash.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
