//! Distributed traces: W3C trace context in and out, sampling, and spans for a receiver of OTLP.
//!
//! A [`Tracer`] is one worker's: it begins traces and, when an exchange ends whose trace is kept, puts a copy of its facts into a box
//! of its own. One thread takes what is in the boxes, makes spans of it and sends them. Invariant: no exchange waits for a receiver;
//! what it does not take in time is lost and counted.

mod context;
mod sampling;
mod settings;

mod ids;
mod outbox;
mod report;
mod tracer;

mod answer;
mod client;
mod encode;
mod exporter;
mod protobuf;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod context_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::runtime;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::metrics::{Exposition, Kind};
use exporter::Exporter;
use outbox::Shared;

pub use client::GRPC_PATH;
pub use sampling::{Errors, Follow, Ratio, Sampling};
pub use settings::{Attribute, Compression, IncomingTrace, Otlp, Protocol, Secrets, Settings, Tls};
pub use tracer::Tracer;

/// The traces of a process.
#[derive(Debug, Default)]
pub struct Spans {
    shared: Arc<Shared>,
    /// To the thread, once there is one.
    thread: Mutex<Option<watch::Sender<Option<Arc<Settings>>>>>,
}

impl Spans {
    /// What one worker traces with.
    pub(super) fn tracer(&self) -> Tracer {
        Tracer::new(self.shared.open())
    }

    /// Takes a configuration over: who is told from now on, if anybody. Fails where the system gives no thread.
    pub fn adopt(&self, settings: Option<&Arc<Settings>>, workers: usize) -> io::Result<()> {
        if let Some(settings) = settings {
            self.shared.limit(settings.queue_max, workers);
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*thread, settings) {
            (Some(sender), _) => drop(sender.send_replace(settings.cloned())),
            (None, Some(_)) => *thread = Some(self.start(settings.cloned())?),
            (None, None) => {}
        }
        Ok(())
    }

    fn start(&self, settings: Option<Arc<Settings>>) -> io::Result<watch::Sender<Option<Arc<Settings>>>> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, settings) = watch::channel(settings);
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name("spans".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, Exporter::new(shared, settings).run());
        })?;
        Ok(sender)
    }

    /// Lets everything be sent at once from now on, because the gateway ends.
    pub fn hurry(&self) {
        self.shared.hurry();
    }

    /// Spans of exchanges that have ended that no receiver has yet.
    pub fn pending(&self) -> usize {
        self.shared.pending()
    }

    /// Tells of the export itself. Nothing where nothing was ever traced.
    pub fn expose(&self, out: &mut Exposition) {
        if self.thread.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        let counts = &self.shared.counts;
        let none: [(&str, &str); 0] = [];
        out.family("portcullis_spans_exported_total", "Spans that the receiver has taken.", Kind::Counter);
        out.count("portcullis_spans_exported_total", &none, counts.exported.value());
        let dropped = "portcullis_spans_dropped_total";
        out.family(dropped, "Spans that were lost: for want of room, or of a receiver that takes them.", Kind::Counter);
        for (reason, count) in
            [("queue_full", &counts.overflowed), ("rejected", &counts.rejected), ("given_up", &counts.given_up)]
        {
            out.count(dropped, &[("reason", reason)], count.value());
        }
        let retries = "portcullis_spans_export_retries_total";
        out.family(retries, "Requests to the receiver that failed and are made again.", Kind::Counter);
        out.count(retries, &none, counts.retries.value());
        out.family("portcullis_spans_pending", "Spans that wait for the receiver.", Kind::Gauge);
        out.count("portcullis_spans_pending", &none, self.pending() as u64);
    }
}
