//! Files that are laid aside: their names, which of them go, and how they are compressed.
//!
//! A file `access.log` is laid aside as `access.log.20261121-090500.123`, so that names sort by time and none is given twice.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::stamp::Stamp;

/// The length of `20261121-090500.123`.
const STAMP_BYTES: usize = 19;

/// A name for the file that is laid aside now, which no file has.
pub(super) fn aside(path: &Path, unix: Duration) -> PathBuf {
    let mut unix = unix;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(Stamp::compact(unix));
        let plain = PathBuf::from(name);
        if !plain.exists() && !compressed(&plain).exists() {
            return plain;
        }
        unix += Duration::from_millis(1);
    }
}

fn compressed(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// Compresses a file that was laid aside. What was begun and not ended stays under another name until the file itself goes.
pub(super) fn compress(plain: &Path) -> io::Result<()> {
    let ready = compressed(plain);
    let mut part = ready.as_os_str().to_owned();
    part.push(".part");
    let mut from = File::open(plain)?;
    let mut to = GzEncoder::new(super::output::created(Path::new(&part))?, Compression::default());
    io::copy(&mut from, &mut to)?;
    to.finish()?.sync_all()?;
    fs::rename(&part, &ready)?;
    removed(plain)
}

/// Removes a file. That somebody else has done so is as good.
fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes all but the newest `keep` of the files that were laid aside.
pub(super) fn prune(path: &Path, keep: usize) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let stamp = entry.file_name().to_str().and_then(|other| stamp(name, other)).map(str::to_owned);
        found.extend(stamp.map(|stamp| (stamp, entry.path())));
    }
    let mut stamps: Vec<String> = found.iter().map(|(stamp, _)| stamp.clone()).collect();
    stamps.sort_unstable();
    stamps.dedup();
    let Some(first) = stamps.len().checked_sub(keep).map(|index| stamps.get(index).cloned()) else { return Ok(()) };
    for (stamp, path) in found {
        if first.as_ref().is_none_or(|first| stamp < *first) {
            removed(&path)?;
        }
    }
    Ok(())
}

/// The moment in the name of a file that was laid aside, compressed or not.
fn stamp<'a>(name: &str, other: &'a str) -> Option<&'a str> {
    let (stamp, rest) = other.strip_prefix(name)?.strip_prefix('.')?.split_at_checked(STAMP_BYTES)?;
    let fits = stamp.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'-',
        15 => byte == b'.',
        _ => byte.is_ascii_digit(),
    });
    (fits && matches!(rest, "" | ".gz" | ".gz.part")).then_some(stamp)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Read;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let now = Duration::from_secs(1_795_251_900);
        let others = ["a.log", "a.log.1", "a.log.old", "b.log.20261121-090500.000", "a.log.20261121-090500.0000"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        for _ in 0..3 {
            fs::write(aside(&path, now), "x").unwrap();
        }
        let oldest = folder.path().join("a.log.20261121-090500.000");
        assert!(oldest.exists(), "{:?}", names(folder.path()));
        fs::write(folder.path().join("a.log.20261121-090500.000.gz.part"), "").unwrap();
        prune(&path, 3).unwrap();
        assert!(oldest.exists());
        prune(&path, 2).unwrap();
        let left: Vec<_> = names(folder.path()).into_iter().filter(|name| !others.contains(&name.as_str())).collect();
        assert_eq!(left, ["a.log.20261121-090500.001", "a.log.20261121-090500.002"]);
        prune(&path, 0).unwrap();
        assert_eq!(names(folder.path()).len(), others.len());
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = aside(&folder.path().join("a.log"), Duration::from_secs(1_795_251_900));
        fs::write(&path, "line\n".repeat(1000)).unwrap();
        compress(&path).unwrap();
        assert_eq!(names(folder.path()), ["a.log.20261121-090500.000.gz"]);
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(compressed(&path)).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line\n".repeat(1000));
        // Compressed, it still has its name for itself.
        assert_ne!(aside(&folder.path().join("a.log"), Duration::from_secs(1_795_251_900)), path);
    }
}
