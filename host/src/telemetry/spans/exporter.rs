//! The thread that exports: takes what is in the boxes, sends it, and sends it again where the receiver asks for patience.
//!
//! One request is under way at a time; while a receiver is slow the boxes fill, and what they have no room for is lost and counted.
//! Invariant: of what has been taken, every span is settled once: exported, rejected, or given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::answer::Outcome;
use super::client::Client;
use super::encode;
use super::ids::Ids;
use super::outbox::{BATCH_SPANS, Shared};
use super::report::Report;
use super::settings::Settings;
use crate::time;

/// How long a span waits for company.
const INTERVAL: Duration = Duration::from_secs(1);
/// From the first try to the second; doubled from try to try.
const WAIT: Duration = Duration::from_millis(500);
/// Longest wait, unless the receiver asks for more.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What is waited for at most where the receiver asks for it.
const ASKED_MAX: Duration = Duration::from_secs(300);
/// Spans that could not be delivered for so long are given up: what comes now is more interesting.
const GIVE_UP: Duration = Duration::from_secs(300);
/// Longest wait where the gateway ends.
const WAIT_HURRIED: Duration = Duration::from_millis(100);

/// What the thread has.
pub(super) struct Exporter {
    shared: Arc<Shared>,
    settings: watch::Receiver<Option<Arc<Settings>>>,
    ids: Ids,
    active: Option<Active>,
    /// Whether the receiver took nothing the last time. Told in the log when it changes, not every time.
    trouble: bool,
    /// The same for its not wanting some of the spans.
    rejecting: bool,
}

/// Who is told.
struct Active {
    settings: Arc<Settings>,
    client: Client,
    resource: Vec<u8>,
}

/// The last handle is gone: there is nobody left who could want anything.
struct Gone;

impl Exporter {
    pub(super) fn new(shared: Arc<Shared>, settings: watch::Receiver<Option<Arc<Settings>>>) -> Self {
        let ids = Ids::default();
        let mut exporter = Self { shared, settings, ids, active: None, trouble: false, rejecting: false };
        exporter.adopt();
        exporter
    }

    /// Ends when the last handle is gone.
    pub(super) async fn run(mut self) {
        let mut backlog = Vec::new();
        loop {
            if self.pause(INTERVAL).await.is_err() {
                return;
            }
            loop {
                self.shared.take(&mut backlog, BATCH_SPANS);
                if backlog.is_empty() {
                    break;
                }
                if self.deliver(&mut backlog).await.is_err() {
                    return;
                }
                if backlog.is_empty() && self.shared.waiting() < BATCH_SPANS && !self.shared.hurries() {
                    break;
                }
            }
        }
    }

    fn adopt(&mut self) {
        // Where nobody is told any more, those who were still get what was meant for them.
        let Some(settings) = self.settings.borrow_and_update().clone() else { return };
        if self.active.as_ref().is_some_and(|active| active.settings == settings) {
            return;
        }
        let (client, resource) = (Client::new(&settings.otlp), encode::resource(&settings.resource));
        self.active = Some(Active { settings, client, resource });
    }

    /// Waits, but not longer than until there is enough to send, or somebody else to be told.
    async fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        tokio::select! {
            changed = self.settings.changed() => {
                if changed.is_err() {
                    return Err(Gone);
                }
                self.adopt();
            }
            () = self.shared.bell.notified() => {}
            () = tokio::time::sleep(time) => {}
        }
        Ok(())
    }

    /// Waits before a request is sent again; only a change, the end or hurry cut that short.
    async fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        let until = time::now() + time;
        loop {
            let left = until.saturating_duration_since(time::now());
            let left = if self.shared.hurries() { left.min(WAIT_HURRIED) } else { left };
            tokio::select! {
                changed = self.settings.changed() => {
                    return if changed.is_err() { Err(Gone) } else { Ok(()) };
                }
                // Rung for what there is more of; that waits as well.
                () = self.shared.bell.notified(), if !self.shared.hurries() => {}
                () = tokio::time::sleep(left) => return Ok(()),
            }
        }
    }

    /// Sends as many of the reports as go into one request, until they are settled.
    async fn deliver(&mut self, backlog: &mut Vec<Report>) -> Result<(), Gone> {
        let started = time::now();
        let mut tries = 0;
        loop {
            let Some(active) = &mut self.active else {
                // Nobody has ever been told.
                let spans = backlog.drain(..).map(|report| report.spans()).sum();
                self.shared.settle(spans);
                return Ok(());
            };
            let of = Arc::clone(&active.settings);
            let (message, told, spans) = encode::request(&active.resource, backlog, &self.ids);
            let body = active.client.body(message);
            while let Some(active) = &mut self.active {
                let outcome = active.client.send(&body).await;
                tries += 1;
                let late = time::now().saturating_duration_since(started) >= GIVE_UP;
                match self.weigh(outcome, spans, late, tries) {
                    None => {
                        backlog.drain(..told);
                        self.shared.settle(spans);
                        return Ok(());
                    }
                    Some(wait) => self.wait(wait).await?,
                }
                self.adopt();
                if self.active.as_ref().is_none_or(|active| active.settings != of) {
                    // It is another receiver's turn, with another resource.
                    break;
                }
            }
        }
    }

    /// Counts what came of a request of so many spans; how long to wait where it is to be sent again.
    fn weigh(&mut self, outcome: Outcome, spans: usize, late: bool, tries: u32) -> Option<Duration> {
        let counts = &self.shared.counts;
        let receiver = self.active.as_ref().map(|active| active.settings.otlp.to_string()).unwrap_or_default();
        let spans = spans as u64;
        match outcome {
            Outcome::Taken { rejected, message } => {
                let rejected = rejected.min(spans);
                counts.exported.add(spans - rejected);
                counts.rejected.add(rejected);
                if std::mem::take(&mut self.trouble) {
                    tracing::info!(receiver, "spans are exported again");
                }
                let rejecting = rejected > 0;
                if rejecting && !self.rejecting {
                    tracing::warn!(receiver, rejected, "spans are not wanted: {message}");
                }
                self.rejecting = rejecting;
                None
            }
            Outcome::Refused(why) => {
                counts.rejected.add(spans);
                if !std::mem::replace(&mut self.trouble, true) {
                    tracing::error!(receiver, "spans are refused and lost: {why}");
                }
                None
            }
            Outcome::Later { why, .. } if late => {
                counts.given_up.add(spans);
                tracing::error!(receiver, spans, "spans are given up: {why}");
                None
            }
            Outcome::Later { why, asked } => {
                counts.retries.increment();
                if !std::mem::replace(&mut self.trouble, true) {
                    tracing::error!(receiver, "spans cannot be exported, and are tried again: {why}");
                }
                let doubled = WAIT.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(WAIT_MAX);
                // Cut by chance, so that those who failed together do not come again together.
                let cut = doubled / 2 + (doubled / 2).mul_f64(self.ids.chance());
                Some(cut.max(asked.unwrap_or_default().min(ASKED_MAX)))
            }
        }
    }
}
