//! The folder of what outlives a restart, and the token that is made where none is configured.
//!
//! Nobody but the gateway's user reads any of it: the folder has the mode 0700, files 0600.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::access::digest_of;

/// The file of the token that was made.
const TOKEN: &str = "admin-token";
/// No token is longer.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Makes the folder, if it is not there.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The digest of the token that was made, after making it if there is none. Gives its file, too, and whether it is new.
pub(super) fn token(folder: &Path) -> io::Result<([u8; 32], PathBuf, Made)> {
    prepare(folder)?;
    let path = folder.join(TOKEN);
    match read(&path) {
        Ok(digest) => Ok((digest, path, Made::Before)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut random = [0; 32];
            aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("there are no random numbers"))?;
            let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            match write(folder, &path, &text) {
                // Another gateway with the same folder was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((read(&path)?, path, Made::Before)),
                written => written.map(|()| (digest_of(text.as_bytes()), path, Made::Now)),
            }
        }
        Err(error) => Err(error),
    }
}

/// When a token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// Just now.
    Now,
    /// At an earlier start.
    Before,
}

fn read(path: &Path) -> io::Result<[u8; 32]> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read the admin token; chmod 600");
    }
    let mut text = String::new();
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty; remove it to have a new one made")),
        token => Ok(digest_of(token.as_bytes())),
    }
}

/// Writes it whole or not at all: who reads it must not find half of it.
fn write(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let aside = folder.join(format!(".{TOKEN}.{}", std::process::id()));
    let _ = fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = writeln!(file, "{text}").and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    written?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        let (digest, path, made) = token(&state).unwrap();
        assert_eq!(made, Made::Now);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&state)), (0o600, 0o700));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.trim().len(), digest_of(text.trim().as_bytes())), (64, digest));
        assert_eq!(token(&state).unwrap(), (digest, path.clone(), Made::Before));
        fs::write(&path, " \n").unwrap();
        assert_eq!(token(&state).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }
}
