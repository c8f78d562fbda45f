//! Reads the file, record by record, so that memory holds no more than one besides those that are taken over.
//!
//! Believes nothing: not the file, whoever it belongs to, nor any length in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;

use super::super::envelope::{Corrupt, Envelope, Record};
use super::{ID_BYTES, LENGTH_BYTES, MAGIC, VERSION, place};

/// A response from later than this was stored by a clock that was wrong: who knows how old it is.
const AHEAD_MS_MAX: u64 = 60_000;

/// The records of a file, as an iterator. When it has ended, [`Self::warning`] and the counts say how it went.
#[derive(Debug)]
pub struct Loaded<'a> {
    path: PathBuf,
    envelope: &'a Envelope,
    now_unix_ms: u64,
    source: Option<Source>,
    warning: Option<String>,
    records: u64,
    outdated: u64,
    passed_over: u64,
}

/// What is left to read.
#[derive(Debug)]
struct Source {
    file: BufReader<File>,
    id: [u8; ID_BYTES],
    /// Where the next record begins, and the file's length.
    at: u64,
    bytes: u64,
    /// Its number.
    number: u64,
}

/// Reads what [`save`](super::save) wrote, and takes the file away: it is good for one start. Without a file there are no records. Those that
/// are neither fresh nor within a stale window at `now_unix_ms`, and those that settings have made unusable, are left out. Blocks.
///
/// A file of another user, one that others may read or write, one of another version and a link are left alone, with a warning.
pub fn load<'a>(path: &Path, envelope: &'a Envelope, now_unix_ms: u64) -> Loaded<'a> {
    let (source, warning) = match open(path) {
        Ok(source) => (source, None),
        Err(what) => (None, Some(format!("{}: {what}; it is ignored", path.display()))),
    };
    let path = path.to_owned();
    Loaded { path, envelope, now_unix_ms, source, warning, records: 0, outdated: 0, passed_over: 0 }
}

fn open(path: &Path) -> Result<Option<Source>, String> {
    // Neither is a link followed nor a pipe waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| format!("cannot be opened: {error}"))?,
    };
    let known = file.metadata().map_err(|error| format!("cannot be examined: {error}"))?;
    if !known.is_file() {
        return Err("is not a file".to_owned());
    }
    let we = rustix::process::geteuid().as_raw();
    if known.uid() != we {
        return Err(format!("belongs to the user {} and not to ours, {we}", known.uid()));
    }
    if known.mode() & 0o077 != 0 {
        return Err(format!("others may use it (mode {:o}, and not 600)", known.mode() & 0o777));
    }
    let mut file = BufReader::with_capacity(256 * 1024, file);
    let mut head = [0; MAGIC.len() + 1 + ID_BYTES];
    file.read_exact(&mut head).map_err(|_| "is no file of stored responses".to_owned())?;
    let Some(&[version, ref id @ ..]) = head.strip_prefix(MAGIC.as_slice()) else {
        return Err("is no file of stored responses".to_owned());
    };
    if version != VERSION {
        return Err(format!("is written in version {version} of the form, which is not known here"));
    }
    let mut source = Source { file, id: [0; ID_BYTES], at: head.len() as u64, bytes: known.len(), number: 0 };
    source.id.copy_from_slice(id);
    fs::remove_file(path).map_err(|error| format!("cannot be taken away: {error}"))?;
    Ok(Some(source))
}

/// Why reading stops.
enum Stop {
    /// The mark at the end.
    End,
    /// Something that cannot be.
    Wrong(String),
}

impl Source {
    /// The next record's bytes; none where they are more than a record may have, which is so when larger ones could be stored before.
    fn next(&mut self, sealed_bytes_max: usize) -> Result<Option<Bytes>, Stop> {
        let broken = |error: io::Error| {
            Stop::Wrong(match error.kind() {
                io::ErrorKind::UnexpectedEof => "the file breaks off".to_owned(),
                _ => format!("the file cannot be read: {error}"),
            })
        };
        let mut length = [0; LENGTH_BYTES];
        self.file.read_exact(&mut length).map_err(broken)?;
        let length = u32::from_le_bytes(length);
        let left = self.bytes.saturating_sub(self.at + LENGTH_BYTES as u64);
        match length {
            0 if left == 0 => return Err(Stop::End),
            0 => return Err(Stop::Wrong("the file goes on after its end".to_owned())),
            _ if u64::from(length) > left => return Err(Stop::Wrong("the file breaks off".to_owned())),
            _ => {}
        }
        self.at += LENGTH_BYTES as u64 + u64::from(length);
        match usize::try_from(length) {
            Ok(length) if length <= sealed_bytes_max => {
                let mut sealed = vec![0; length];
                self.file.read_exact(&mut sealed).map_err(broken)?;
                Ok(Some(Bytes::from(sealed)))
            }
            _ => self.file.seek_relative(i64::from(length)).map(|()| None).map_err(broken),
        }
    }

    /// The next record, opened, or why this one is passed over.
    fn open(&mut self, envelope: &Envelope) -> Result<Result<Record, Corrupt>, Stop> {
        let sealed = self.next(envelope.sealed_bytes_max())?;
        let place = place(&self.id, self.number);
        self.number += 1;
        match sealed.map(|sealed| envelope.open(&place, sealed)) {
            None => Ok(Err(Corrupt::TooLong)),
            Some(opened @ (Ok(_) | Err(Corrupt::UnknownKey(_) | Corrupt::NotEncrypted | Corrupt::TooLong))) => {
                Ok(opened)
            }
            Some(Err(corrupt)) => Err(Stop::Wrong(corrupt.to_string())),
        }
    }
}

fn is_usable(record: &Record, now_unix_ms: u64) -> bool {
    let ahead = record.received_unix_ms > now_unix_ms.saturating_add(AHEAD_MS_MAX);
    !ahead && now_unix_ms < record.usable_until_unix_ms()
}

impl Iterator for Loaded<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let source = self.source.as_mut()?;
            let (number, at) = (source.number + 1, source.at);
            match source.open(self.envelope) {
                Ok(Ok(record)) if is_usable(&record, self.now_unix_ms) => {
                    self.records += 1;
                    return Some(record);
                }
                Ok(Ok(_)) => self.outdated += 1,
                Ok(Err(why)) => {
                    self.passed_over += 1;
                    let path = self.path.display();
                    let what = || {
                        format!("{path}: response {number}, at byte {at}: {why}; it and all like it are passed over")
                    };
                    self.warning.get_or_insert_with(what);
                }
                Err(Stop::End) => self.source = None,
                Err(Stop::Wrong(what)) => {
                    let (path, kept) = (self.path.display(), self.records);
                    let kept = format!("the {kept} before it that are of use are kept");
                    self.warning = Some(format!("{path}: response {number}, at byte {at}: {what}; {kept}"));
                    self.source = None;
                }
            }
        }
    }
}

impl Loaded<'_> {
    /// What went wrong, if anything did: complete when the iterator has ended.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// How many records were given so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many were left out because nobody may be served with them any more.
    pub fn outdated(&self) -> u64 {
        self.outdated
    }

    /// How many were left out because their key is not known, because they should be encrypted and are not, or because they are longer than
    /// what is stored now.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }
}
