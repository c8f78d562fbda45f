//! The access log of the process: what all workers write by, what they hand over, and what became of it.
//!
//! Invariant: nobody who hands something over waits. What is wanted of the log changes in one step; a worker notices with its next
//! exchange.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::form::Form;
use super::output::Output;
use super::settings::{Settings, Target};
use super::writer::Writer;
use crate::names::Name;
use crate::telemetry::metrics::{Counter, Exposition, Kind};

/// Blocks that may wait for the writer. At 64 KiB each 8 MiB, or about a second of a disk that does nothing at 25 000 lines a second.
pub(super) const BLOCKS_MAX: usize = 128;
/// Buffers that are kept for the next blocks.
const EMPTY_MAX: usize = 8;
/// How long the end of the process waits for the last lines to be written.
const CLOSING: Duration = Duration::from_secs(5);

/// Lines of one worker.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// The number of the settings that they were written by.
    pub(super) epoch: u64,
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    Block(Block),
    /// There is something to see in [`Shared`], as of the settings with this number.
    Look(u64),
    /// Everything before is to be written, then this be answered.
    Flush(SyncSender<()>),
}

/// What became of lines.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) written: Counter,
    pub(super) bytes: Counter,
    /// Because the writer was too slow.
    pub(super) overrun: Counter,
    /// Because they could not be written.
    pub(super) failed: Counter,
}

/// What workers, the writer and the gateway share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Counts up with every change of `form`.
    pub(super) epoch: AtomicU64,
    /// How lines are written; none: not at all.
    form: Mutex<Option<Arc<Form>>>,
    /// Whether every line is to be handed over at once, since there may be no next one.
    pub(super) hasty: AtomicBool,
    sender: SyncSender<Message>,
    /// Until there is a writer.
    receiver: Mutex<Option<Receiver<Message>>>,
    /// Buffers whose lines are written, to be used again: memory that was used lately costs less than other memory.
    empty: Mutex<Vec<Vec<u8>>>,
    /// Where lines go from the settings with this number on.
    next: Mutex<Option<(u64, Output)>>,
    /// Whether the file is to be opened anew.
    pub(super) reopen: AtomicBool,
    pub(super) tally: Tally,
}

impl Shared {
    /// The number of the present settings, and how lines are written by them.
    pub(super) fn form(&self) -> (u64, Option<Arc<Form>>) {
        let form = locked(&self.form);
        (self.epoch.load(Ordering::Acquire), form.clone())
    }

    /// Hands lines to the writer; gives them back if it has too many already.
    pub(super) fn hand_over(&self, block: Block) -> Result<(), Block> {
        match self.sender.try_send(Message::Block(block)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Message::Block(block)) | TrySendError::Disconnected(Message::Block(block))) => {
                Err(block)
            }
            Err(_) => Ok(()),
        }
    }

    /// A buffer for lines. Nobody waits for one that was used already.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.empty.try_lock().ok().and_then(|mut empty| empty.pop()).unwrap_or_default()
    }

    /// Takes a buffer back whose lines are written.
    pub(super) fn take_back(&self, mut buffer: Vec<u8>) {
        let mut empty = locked(&self.empty);
        if empty.len() < EMPTY_MAX {
            buffer.clear();
            empty.push(buffer);
        }
    }

    /// Where lines go that were written by the settings with this number, if that has changed.
    pub(super) fn next(&self, epoch: u64) -> Option<Output> {
        let mut next = locked(&self.next);
        if next.as_ref().is_some_and(|(from, _)| *from <= epoch) { next.take().map(|(_, output)| output) } else { None }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The access log of the process.
#[derive(Debug, Clone)]
pub struct AccessLog {
    pub(super) shared: Arc<Shared>,
    /// What is wanted at present.
    target: Arc<Mutex<Option<Target>>>,
}

impl Default for AccessLog {
    fn default() -> Self {
        let (sender, receiver) = mpsc::sync_channel(BLOCKS_MAX);
        let shared = Shared {
            epoch: AtomicU64::new(0),
            form: Mutex::default(),
            hasty: AtomicBool::new(false),
            sender,
            receiver: Mutex::new(Some(receiver)),
            empty: Mutex::default(),
            next: Mutex::default(),
            reopen: AtomicBool::new(false),
            tally: Tally::default(),
        };
        Self { shared: Arc::new(shared), target: Arc::default() }
    }
}

/// An output that is open, for [`AccessLog::adopt`].
#[derive(Debug, Default)]
pub struct Opened(Option<Output>);

impl AccessLog {
    /// Opens what settings want, so that it is known whether that can be done before anything changes.
    pub fn open(&self, settings: Option<&Settings>) -> Result<Opened, String> {
        let Some(settings) = settings else { return Ok(Opened(None)) };
        if locked(&self.target).as_ref() == Some(&settings.to) {
            return Ok(Opened(None));
        }
        let output = Output::open(&settings.to).map_err(|error| match &settings.to {
            Target::Stdout => format!("access_log.to: cannot write to standard output: {error}"),
            Target::File { path, .. } => {
                format!(
                    "access_log.to.file: cannot open {}: {error}; choose a file that can be written",
                    path.display()
                )
            }
        })?;
        Ok(Opened(Some(output)))
    }

    /// Writes lines by these settings from now on; none: no lines. `plugins`: their names by the numbers that timings name them by.
    pub fn adopt(&self, settings: Option<&Settings>, opened: Opened, plugins: Vec<(u32, Name)>) -> io::Result<()> {
        let form = settings.map(|settings| Arc::new(Form::new(settings, plugins)));
        {
            let mut present = locked(&self.shared.form);
            let epoch = self.shared.epoch.load(Ordering::Relaxed) + 1;
            if let Opened(Some(output)) = opened {
                *locked(&self.target) = Some(output.target().clone());
                *locked(&self.shared.next) = Some((epoch, output));
            }
            *present = form;
            self.shared.epoch.store(epoch, Ordering::Release);
        }
        if settings.is_some() {
            let receiver = locked(&self.shared.receiver).take();
            receiver.map_or(Ok(()), |receiver| start(receiver, &self.shared))?;
        }
        self.look();
        Ok(())
    }

    /// Opens the file anew, after somebody has moved it.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.look();
    }

    /// From now on every line is handed over at once: the process is about to end.
    pub fn hurry(&self) {
        self.shared.hasty.store(true, Ordering::Relaxed);
    }

    /// Waits until everything is written that was handed over, but not for a disk that does nothing.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if locked(&self.shared.receiver).is_some() {
            return;
        }
        let deadline = crate::time::now() + CLOSING;
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.shared.sender.try_send(message) {
            if crate::time::now() >= deadline {
                return;
            }
            message = back;
            thread::sleep(Duration::from_millis(5));
        }
        let _ = wait.recv_timeout(deadline.saturating_duration_since(crate::time::now()));
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.shared.tally.overrun.value() + self.shared.tally.failed.value()
    }

    /// Lines that were written.
    pub fn written(&self) -> u64 {
        self.shared.tally.written.value()
    }

    /// Tells its figures.
    pub fn expose(&self, out: &mut Exposition) {
        let tally = &self.shared.tally;
        let none: &[(&str, &str)] = &[];
        let (lines, bytes) = ("portcullis_access_log_lines_total", "portcullis_access_log_bytes_total");
        out.family(lines, "Lines of the access log that were written.", Kind::Counter);
        out.count(lines, none, tally.written.value());
        out.family(bytes, "Bytes of the access log that were written.", Kind::Counter);
        out.count(bytes, none, tally.bytes.value());
        let dropped = "portcullis_access_log_lines_dropped_total";
        out.family(dropped, "Lines of the access log that were dropped.", Kind::Counter);
        out.count(dropped, &[("cause", "slow")], tally.overrun.value());
        out.count(dropped, &[("cause", "failed")], tally.failed.value());
    }

    /// Lets the writer look. One that has too much to do looks anyway.
    fn look(&self) {
        let _ = self.shared.sender.try_send(Message::Look(self.shared.epoch.load(Ordering::Acquire)));
    }
}

fn start(receiver: Receiver<Message>, shared: &Arc<Shared>) -> io::Result<()> {
    let mut writer = Writer::new(Arc::clone(shared));
    thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&receiver)).map(drop)
}
