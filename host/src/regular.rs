//! Reads a regular file, up to a bound: what a configuration names may be a pipe that nobody writes to, or a device that never ends.
//!
//! The file is opened without waiting and looked at afterwards, so that what was looked at is what is read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file is not read. The words go behind its name.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is a folder, a pipe, a device or a socket.
    #[error("is not a regular file")]
    NotRegular,
    /// It is longer than the bound.
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    /// The kind of what went wrong.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::NotRegular => io::ErrorKind::InvalidInput,
            Self::TooLarge(_) => io::ErrorKind::FileTooLarge,
            Self::Io(error) => error.kind(),
        }
    }
}

/// The bytes of a file.
///
/// # Errors
/// It is no regular file, longer than this, or cannot be read. Never waits for anybody but the disk.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    if metadata.len() > bytes_max {
        return Err(ReadError::TooLarge(bytes_max));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may grow meanwhile, and those of the system say that they are empty.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(ReadError::TooLarge(bytes_max)) } else { Ok(bytes) }
}

fn open(path: &Path) -> io::Result<File> {
    // A pipe without a writer would keep us waiting, a terminal would become ours.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_no_more_of_them_than_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        assert_eq!(read(&path("link"), 5).unwrap(), b"12345");
        assert!(matches!(read(&path("file"), 4), Err(ReadError::TooLarge(4))));
        for other in [path("pipe"), folder.path().to_owned(), "/dev/zero".into(), "/dev/null".into()] {
            assert!(matches!(read(&other, 9), Err(ReadError::NotRegular)), "{}", other.display());
        }
        assert_eq!(read(&path("absent"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
