//! The files of the audit log: lines are appended and synced, full files are kept under numbers, the oldest goes.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Bytes after which a new file is begun: about 30 000 entries.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Full files that are kept.
const FILES_KEPT: u32 = 8;

/// The files of the log.
#[derive(Debug)]
pub(super) struct Book {
    path: PathBuf,
    bytes_max: u64,
}

impl Book {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, bytes_max: FILE_BYTES_MAX }
    }

    /// Writes one entry; when this returns, it is on the disk.
    pub(super) fn append(&mut self, entry: &Value) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        crate::admin::store::prepare(folder)?;
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() >= self.bytes_max) {
            self.turn()?;
        }
        let mut options = OpenOptions::new();
        // The file is opened anew for each entry: it may have been moved away, and entries are few.
        let mut file = options.append(true).read(true).create(true).mode(0o600).open(&self.path)?;
        let length = file.metadata()?.len();
        let mut line = format!("{entry}\n");
        let mut last = [b'\n'];
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        // What a crash cut short must not spoil the next entry.
        if last != *b"\n" {
            line.insert(0, '\n');
        }
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        if length == 0 {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Begins a new file.
    fn turn(&self) -> io::Result<()> {
        for number in (1..FILES_KEPT).rev() {
            let (from, to) = (self.kept(number), self.kept(number + 1));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        fs::rename(&self.path, self.kept(1))
    }

    fn kept(&self, number: u32) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(format!(".{number}"));
        path.into()
    }

    /// The newest entries, newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut over: HashSet<String> = HashSet::new();
        let files = std::iter::once(self.path.clone()).chain((1..=FILES_KEPT).map(|number| self.kept(number)));
        for path in files {
            let Ok(text) = read(&path, 2 * self.bytes_max) else { break };
            for line in text.lines().rev() {
                if entries.len() >= limit {
                    return entries;
                }
                // What is no entry was cut short, or somebody has been writing into the file.
                let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
                let text = |name: &str| entry.get(name).and_then(Value::as_str);
                let (Some(id), Some(outcome)) = (text("id"), text("outcome")) else { continue };
                if outcome == "begun" {
                    if over.remove(id) {
                        continue;
                    }
                } else {
                    over.insert(id.to_owned());
                }
                entries.push(entry);
            }
        }
        entries
    }
}

/// The end of a file.
fn read(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn entry(id: u32, outcome: &str) -> Value {
        json!({ "id": id.to_string(), "outcome": outcome })
    }

    fn ids(book: &Book, limit: usize) -> Vec<String> {
        let shown = |entry: &Value| format!("{} {}", entry["id"].as_str().unwrap(), entry["outcome"].as_str().unwrap());
        book.newest(limit).iter().map(shown).collect()
    }

    #[test]
    fn entries_are_read_newest_first_and_changes_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::new(folder.path().join("s/audit.log"));
        assert!(ids(&book, 9).is_empty());
        for (id, outcome) in [(1, "begun"), (2, "begun"), (1, "done"), (3, "refused")] {
            book.append(&entry(id, outcome)).unwrap();
        }
        assert_eq!(ids(&book, 9), ["3 refused", "1 done", "2 begun"]);
        assert_eq!(ids(&book, 1), ["3 refused"]);
        assert_eq!(fs::metadata(&book.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::new(folder.path().join("audit.log"));
        book.append(&entry(1, "done")).unwrap();
        let mut file = OpenOptions::new().append(true).open(&book.path).unwrap();
        file.write_all(b"{\"id\": \"2\", \"out").unwrap();
        book.append(&entry(3, "done")).unwrap();
        assert_eq!(ids(&book, 9), ["3 done", "1 done"]);
    }

    #[test]
    fn full_files_are_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book { path: folder.path().join("audit.log"), bytes_max: 50 };
        for id in 0..100 {
            book.append(&entry(id, "done")).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count() as u32, 1 + FILES_KEPT);
        let ids = ids(&book, 1000);
        assert!(ids.len() > 10 && ids.len() < 50, "{ids:?}");
        assert_eq!(ids.first().unwrap(), "99 done");
    }
}
