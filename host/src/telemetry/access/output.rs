//! Where lines go: standard output, or a file that is laid aside and begun anew.
//!
//! Used by one thread, which may wait here for a disk. Invariant: what is written is whole lines; one of which only a part could be written is
//! finished before anything else is. A file that was moved or removed by others is opened anew within a second.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::ebb::Ebb;
use super::rotation;
use super::settings::{Aside, Rotation, Target};
use crate::time::{self, Instant};

/// How often it is looked whether the file is still there.
const LOOKS: Duration = Duration::from_secs(1);
/// How long an output that takes nothing at the moment is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what could not be done is left alone.
const PAUSE: Duration = Duration::from_secs(10);

/// Where lines go.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    sink: File,
    /// The file, where it is one that can be laid aside.
    file: Option<Kept>,
    /// What is missing of the line that was written last.
    rest: Vec<u8>,
    /// How many lines of ours that ends.
    rest_lines: u64,
    /// The file that was laid aside, until another one is open: so long lines still go there.
    aside: Option<PathBuf>,
    /// What has not been told yet of what became of lines.
    outcome: Outcome,
}

/// What became of lines. One of which a part has been written is told of when it is settled what becomes of the rest.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) written: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    /// Why the last of them were lost.
    pub(super) error: Option<io::Error>,
}

/// What is known of a file.
#[derive(Debug)]
struct Kept {
    /// Device and inode.
    identity: (u64, u64),
    bytes: u64,
    ebb: Ebb,
    /// The time since the Unix epoch in which its first line was written, in units of [`Rotation::seconds`].
    period: Option<u64>,
    /// When it is looked again whether it is still there.
    look: Instant,
    /// When it is tried again to lay it aside.
    rotate: Option<Instant>,
}

/// Opens a file for ourselves and our group: lines tell who asked for what.
pub(super) fn created(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o640).open(path)
}

fn appended(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

impl Output {
    /// Opens it. Folders that are missing are made.
    pub(super) fn open(target: &Target) -> io::Result<Self> {
        let mut rest = Vec::new();
        let (sink, file) = match target {
            Target::Stdout => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            Target::File { path, rotation } => {
                let sink = appended(path)?;
                let metadata = sink.metadata()?;
                let kept = metadata.is_file().then(|| Kept::new(&metadata, rotation));
                if kept.is_some() && is_torn(path, metadata.len()) {
                    rest.push(b'\n');
                }
                (sink, kept)
            }
        };
        Ok(Self { target: target.clone(), sink, file, rest, rest_lines: 0, aside: None, outcome: Outcome::default() })
    }

    /// Where it goes.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Writes lines.
    pub(super) fn write(&mut self, mut lines: &[u8]) -> Outcome {
        self.look();
        while !lines.is_empty() {
            let next = self.room(lines);
            let (now, later) = lines.split_at_checked(next).unwrap_or((lines, &[]));
            if let Err(error) = self.append(now) {
                self.outcome.lost += count(later);
                self.outcome.error = Some(error);
                break;
            }
            lines = later;
        }
        std::mem::take(&mut self.outcome)
    }

    /// Opens the file anew, whatever has become of it.
    pub(super) fn reopen(&mut self) {
        let Target::File { path, .. } = &self.target else { return };
        match Self::open(&self.target) {
            // Nothing has become of it.
            Ok(Self { file: Some(Kept { identity, .. }), .. })
                if self.file.as_ref().is_some_and(|file| file.identity == identity) => {}
            Ok(new) => {
                let mut outcome = std::mem::take(&mut self.outcome);
                // What was begun in the old file cannot be finished in the new one.
                outcome.lost += self.rest_lines;
                if let (Some(aside), Target::File { path, rotation }) = (self.aside.take(), &self.target) {
                    tidy(aside, path.clone(), rotation.clone());
                }
                *self = Self { outcome, ..new };
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the access log cannot be opened anew; the old file stays");
                if let Some(file) = &mut self.file {
                    let later = time::now() + PAUSE;
                    (file.look, file.rotate) = (later, Some(later));
                }
            }
        }
    }

    /// Opens the file anew if the path leads to another one or to none.
    fn look(&mut self) {
        let (Target::File { path, .. }, Some(file)) = (&self.target, &mut self.file) else { return };
        let now = time::now();
        if now < file.look {
            return;
        }
        file.look = now + LOOKS;
        if fs::metadata(path).ok().map(|metadata| identity(&metadata)) != Some(file.identity) {
            self.reopen();
        }
    }

    /// Makes room for lines, and says how many bytes of them go into the file as it then is: at least one line.
    fn room(&mut self, lines: &[u8]) -> usize {
        let Target::File { path, rotation } = &self.target else { return lines.len() };
        let Some(file) = &mut self.file else { return lines.len() };
        let first = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1);
        let free = |file: &Kept| rotation.bytes.map(|most| most.saturating_sub(file.bytes));
        let period = period(rotation, time::unix().as_secs());
        let over = file.bytes > 0 && (free(file).is_some_and(|free| free < first as u64) || file.period != period);
        if file.bytes == 0 {
            file.period = period;
        }
        let now = time::now();
        if over && file.rotate.is_none_or(|at| now >= at) {
            match lay_aside(path, file.identity) {
                Ok(aside) => {
                    self.aside = aside.or(self.aside.take());
                    self.reopen();
                    return self.fitting(lines, first);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the access log cannot be laid aside, it grows on");
                    file.rotate = Some(now + PAUSE);
                }
            }
        }
        self.fitting(lines, first)
    }

    /// How many bytes of these lines fit into the file: whole lines, at least the `first`.
    fn fitting(&self, lines: &[u8], first: usize) -> usize {
        let (Target::File { rotation, .. }, Some(file)) = (&self.target, &self.file) else { return lines.len() };
        // A file that cannot be laid aside takes everything.
        let Some(most) = rotation.bytes.filter(|_| file.rotate.is_none()) else { return lines.len() };
        let free = usize::try_from(most.saturating_sub(file.bytes)).unwrap_or(usize::MAX);
        let within = lines.get(..free).unwrap_or(lines);
        within.iter().rposition(|byte| *byte == b'\n').map_or(first, |at| at + 1)
    }

    /// Writes to the end, first what is missing of the last line.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            let (written, result) = self.put(&rest);
            if let Err(error) = result {
                rest.drain(..written);
                self.rest = rest;
                self.outcome.lost += count(lines);
                return Err(error);
            }
            self.outcome.written += std::mem::take(&mut self.rest_lines);
        }
        let (written, result) = self.put(lines);
        let (done, missing) = lines.split_at_checked(written).unwrap_or((lines, &[]));
        self.outcome.written += count(done);
        let Err(error) = result else { return Ok(()) };
        let torn = done.last().is_some_and(|byte| *byte != b'\n');
        let end = missing.iter().position(|byte| *byte == b'\n').map_or(missing.len(), |at| at + 1);
        let (rest, lost) = missing.split_at_checked(if torn { end } else { 0 }).unwrap_or((missing, &[]));
        (self.rest, self.rest_lines) = (rest.to_vec(), u64::from(torn));
        self.outcome.lost += count(lost);
        Err(error)
    }

    /// Writes as much as it can, and says how much that was.
    fn put(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        let mut since = None;
        let result = loop {
            match bytes.get(written..).filter(|left| !left.is_empty()).map(|left| self.sink.write(left)) {
                None => break Ok(()),
                Some(Ok(0)) => break Err(ErrorKind::WriteZero.into()),
                Some(Ok(count)) => {
                    written += count;
                    since = None;
                }
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                // Standard output may belong to somebody who does not want to wait.
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                    let since = *since.get_or_insert_with(time::now);
                    if time::now().saturating_duration_since(since) > PATIENCE {
                        break Err(error);
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                Some(Err(error)) => break Err(error),
            }
        };
        self.outcome.bytes += written as u64;
        if let Some(file) = &mut self.file {
            file.bytes += written as u64;
            file.ebb.follow(&self.sink, file.bytes);
        }
        (written, result)
    }
}

impl Kept {
    fn new(metadata: &Metadata, rotation: &Rotation) -> Self {
        let bytes = metadata.len();
        let modified = u64::try_from(metadata.mtime()).ok().filter(|_| bytes > 0);
        Self {
            identity: identity(metadata),
            bytes,
            ebb: Ebb::new(bytes),
            period: period(rotation, modified.unwrap_or_else(|| time::unix().as_secs())),
            look: time::now() + LOOKS,
            rotate: None,
        }
    }
}

/// Whether the last line of a file has no end, because it did not fit on the disk.
fn is_torn(path: &Path, bytes: u64) -> bool {
    let last = |file: File| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, bytes.checked_sub(1)?).ok()?;
        Some(byte != *b"\n")
    };
    File::open(path).ok().and_then(last).unwrap_or_default()
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn period(rotation: &Rotation, unix_seconds: u64) -> Option<u64> {
    rotation.seconds.and_then(|seconds| unix_seconds.checked_div(seconds))
}

fn count(lines: &[u8]) -> u64 {
    // In parts of which a byte can hold the count, so that many are looked at in one instruction.
    let ends = |part: &[u8]| part.iter().fold(0_u8, |count, byte| count + u8::from(*byte == b'\n'));
    lines.chunks(usize::from(u8::MAX)).map(|part| u64::from(ends(part))).sum()
}

/// Gives the file another name and says which, unless somebody else has done so already.
fn lay_aside(path: &Path, ours: (u64, u64)) -> io::Result<Option<PathBuf>> {
    match fs::metadata(path) {
        Ok(metadata) if identity(&metadata) == ours => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let aside = rotation::aside(path, time::unix());
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

/// Does what is to be done with a file that was laid aside, and with those before it. Nobody waits for that.
fn tidy(aside: PathBuf, path: PathBuf, rotation: Rotation) {
    let shown = path.display().to_string();
    let work = move || {
        let compressed = match rotation.aside {
            Aside::Plain => Ok(()),
            Aside::Gzip => rotation::compress(&aside),
        };
        if let Err(error) = compressed.and_then(|()| rotation::prune(&path, rotation.keep)) {
            tracing::warn!(path = %path.display(), %error, "old files of the access log are not as they should be");
        }
    };
    if let Err(error) = thread::Builder::new().name("access-log-old".into()).spawn(work) {
        tracing::warn!(path = shown, %error, "old files of the access log stay as they are");
    }
}
