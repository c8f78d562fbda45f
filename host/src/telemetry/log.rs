//! Log lines leave through a bounded channel and a thread of their own: a slow terminal or disk costs log lines, not latency.
//!
//! What did not fit is counted and said, as soon as there is room again. Which lines are logged can be changed while the process runs.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::time;

/// Lines that may wait. At 200 bytes a line about 1.6 MB.
const LINES_MAX: usize = 8192;

/// How long the end of the process waits for whoever reads the last lines.
const CLOSING: Duration = Duration::from_secs(2);

/// Which lines the log of this process takes, since there is one log per process.
static LEVELS: OnceLock<LogLevels> = OnceLock::new();

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

/// The process's log. The last lines are written when this is dropped, unless whoever reads them does not.
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
        let (started, levels) = match settings.format {
            LogFormat::Text => {
                let colours = io::IsTerminal::is_terminal(&io::stderr());
                let subscriber = subscriber.with_ansi(colours).with_filter_reloading();
                let levels = LogLevels::of(subscriber.reload_handle());
                (subscriber.finish().try_init(), levels)
            }
            LogFormat::Json => {
                let subscriber = subscriber.json().flatten_event(true).with_current_span(false).with_filter_reloading();
                let levels = LogLevels::of(subscriber.reload_handle());
                (subscriber.finish().try_init(), levels)
            }
        };
        started.map_err(|error| error.to_string())?;
        // A second log has failed above.
        let _ = LEVELS.set(levels);
        Ok(Self { sender })
    }
}

/// Which lines the log takes; can be changed while it runs.
#[derive(Clone)]
pub struct LogLevels(Arc<dyn Levels>);

/// What can be asked of a log whatever its lines look like.
trait Levels: Send + Sync {
    fn filter(&self) -> Option<String>;
    fn set(&self, filter: EnvFilter) -> Result<(), String>;
}

impl<S: Subscriber> Levels for Handle<EnvFilter, S> {
    fn filter(&self) -> Option<String> {
        self.with_current(ToString::to_string).ok()
    }

    fn set(&self, filter: EnvFilter) -> Result<(), String> {
        self.reload(filter).map_err(|error| error.to_string())
    }
}

impl LogLevels {
    fn of<S: Subscriber>(handle: Handle<EnvFilter, S>) -> Self {
        Self(Arc::new(handle))
    }

    /// Those of this process, once its log has been started.
    pub fn of_process() -> Option<Self> {
        LEVELS.get().cloned()
    }

    /// The present filter, such as `info` or `portcullis=debug`.
    pub fn filter(&self) -> String {
        self.0.filter().unwrap_or_default()
    }

    /// Takes another one, from the next line on. What is no filter is refused and changes nothing.
    pub fn set_filter(&self, filter: &str) -> Result<(), String> {
        let parsed = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.set(parsed)
    }
}

impl fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogLevels({})", self.filter())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, wait) = mpsc::sync_channel(1);
        let deadline = time::now() + CLOSING;
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(message) {
            if time::now() >= deadline {
                return;
            }
            message = back;
            thread::sleep(Duration::from_millis(5));
        }
        let _ = wait.recv_timeout(deadline.saturating_duration_since(time::now()));
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
