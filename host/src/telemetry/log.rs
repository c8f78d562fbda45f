//! Log lines leave through a bounded channel and a thread of their own: a slow terminal or disk costs log lines, not latency.
//!
//! What did not fit is counted and said, as soon as there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait. At 200 bytes a line about 1.6 MB.
const LINES_MAX: usize = 8192;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A `tracing` filter such as `info` or `portcullis=debug`.
    pub filter: String,
    /// How it looks.
    pub format: LogFormat,
}

enum Message {
    Line(Vec<u8>),
    /// Everything sent before is written when this is answered.
    Flush(SyncSender<()>),
}

/// The process's log. The last lines are written when this is dropped.
#[derive(Debug)]
pub struct Log {
    sender: SyncSender<Message>,
}

impl Log {
    /// Starts the log on standard error. May be called once per process; a second call fails.
    pub fn start(settings: &LogSettings) -> Result<Self, String> {
        let filter = EnvFilter::try_new(&settings.filter).map_err(|error| error.to_string())?;
        let (sender, receiver) = mpsc::sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer { sender: sender.clone(), lost: Arc::clone(&lost) };
        let spawned = thread::Builder::new().name("log".into()).spawn(move || write(&receiver, &lost));
        spawned.map_err(|error| error.to_string())?;
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
        let started = match settings.format {
            LogFormat::Text => subscriber.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
            LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(false).try_init(),
        };
        started.map_err(|error| error.to_string())?;
        Ok(Self { sender })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
    }
}

fn write(receiver: &Receiver<Message>, lost: &AtomicU64) {
    let mut out = io::stderr();
    // A log that cannot be written has nowhere to say so.
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Flush(done) => drop(done.send(())),
        }
        let missing = lost.swap(0, Relaxed);
        if missing > 0 {
            let _ = writeln!(out, "{missing} log lines were lost: whoever reads them is too slow");
        }
    }
}

#[derive(Clone)]
struct Writer {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Write for Writer {
    /// `tracing` writes one whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Line(line.to_vec())) {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
