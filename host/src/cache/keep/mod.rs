//! A file in which stored responses outlive a restart: written once when the gateway has drained, read once when it starts.
//!
//! The file is for our user alone, replaced in one step, and taken away when it is read: loaded twice, it could bring back what was
//! purged in between. Whatever is wrong with it is told in a warning and costs only what comes after it, never the start.
//!
//! The form: a line that names it, version, 16 random bytes; then each record in its [`Envelope`] behind its length in four bytes
//! (little endian); a length of 0 at the end. The place of a record is the random bytes and its number, so that encrypted ones open only in
//! the file and in the order in which they were written.

mod load;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::envelope::{Envelope, Record};

pub use load::{Loaded, load};

const MAGIC: &[u8; 17] = b"portcullis cache\n";
const VERSION: u8 = 1;
/// What tells one file from another.
const ID_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;
/// Besides the records: the head, and the mark at the end.
const FRAME_BYTES: u64 = (MAGIC.len() + 1 + ID_BYTES + LENGTH_BYTES) as u64;

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// Records that are in it.
    pub records: u64,
    /// Records that are not, because the file or they themselves would be too long.
    pub left_out: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes records to `path`, the most wanted first: when `bytes_max` is reached, the others are left out. The file is there as a whole, with
/// all its bytes on the disk, or it is as before. Blocks.
///
/// # Errors
/// The file cannot be written.
pub fn save(
    path: &Path,
    records: impl Iterator<Item = Record>,
    envelope: &Envelope,
    bytes_max: u64,
) -> io::Result<Saved> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut aside_name = std::ffi::OsString::from(".");
    aside_name.push(name);
    aside_name.push(".new");
    let aside = Aside(folder.join(aside_name));
    // Left by a process that was killed, or put there by somebody else, in which case it must not be written to.
    match fs::remove_file(&aside.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside.0)?;
    let mut out = BufWriter::with_capacity(256 * 1024, file);
    let saved = write(&mut out, records, envelope, bytes_max)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&aside.0, path)?;
    // The name is kept by the folder, which has to reach the disk as well.
    File::open(folder)?.sync_all()?;
    Ok(saved)
}

/// The file that is written until it takes its place. What is left of it goes with this.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // Gone already when all went well.
        let _ = fs::remove_file(&self.0);
    }
}

fn write(
    out: &mut impl Write,
    records: impl Iterator<Item = Record>,
    envelope: &Envelope,
    bytes_max: u64,
) -> io::Result<Saved> {
    let mut id = [0; ID_BYTES];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| io::Error::other("there are no random numbers"))?;
    out.write_all(MAGIC)?;
    out.write_all(&[VERSION])?;
    out.write_all(&id)?;
    let mut saved = Saved { bytes: FRAME_BYTES, ..Saved::default() };
    // Once so little is left, hardly any fits, and trying each would only hold up the end.
    let enough = bytes_max - bytes_max / 64;
    for record in records {
        let sealed = if saved.bytes < enough { envelope.seal(&place(&id, saved.records), &record).ok() } else { None };
        let room = bytes_max.saturating_sub(saved.bytes);
        let fits = |sealed: &Vec<u8>| (sealed.len() + LENGTH_BYTES) as u64 <= room;
        let Some(sealed) = sealed.filter(fits) else {
            saved.left_out += 1;
            continue;
        };
        let Ok(length) = u32::try_from(sealed.len()) else {
            saved.left_out += 1;
            continue;
        };
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&sealed)?;
        saved.records += 1;
        saved.bytes += (sealed.len() + LENGTH_BYTES) as u64;
    }
    out.write_all(&[0; LENGTH_BYTES])?;
    Ok(saved)
}

/// Where a record is, in a way that no other is.
fn place(id: &[u8; ID_BYTES], number: u64) -> Vec<u8> {
    [id.as_slice(), &number.to_le_bytes()].concat()
}
