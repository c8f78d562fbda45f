//! The end of a gateway: what is under way may finish, what takes too long is cut off and recorded as that, and what is to be kept is written.
//!
//! Nobody is waited for longer than the configuration allows, and a second signal ends every wait.

use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Gateway;
use super::control::Event;
use super::inherited::notify;
use crate::time;

/// How long the last spans may take once everything else has ended.
const SPANS_PATIENCE: Duration = Duration::from_secs(3);
/// How long workers may take to give up what is still under way.
const CUT_PATIENCE: Duration = Duration::from_secs(1);

impl Gateway {
    /// Waits for what is under way, cuts off what takes too long, and writes what is to be kept.
    pub(super) fn end(mut self, asked: time::Instant) {
        // Whoever could have said so may be gone.
        self.drain.start();
        let timeout = self.generation.config.drain_timeout;
        notify("STOPPING=1\nSTATUS=draining");
        tracing::info!(timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX), "draining");
        let deadline = asked + timeout;
        self.records.spans().hurry();
        self.records.access().hurry();
        while self.workers.iter().any(|worker| !worker.is_finished()) || self.cdn.pending() > 0 {
            if time::now() >= deadline {
                if self.workers.iter().any(|worker| !worker.is_finished()) {
                    tracing::warn!("drain timeout: connections that are still open are closed");
                }
                if self.cdn.pending() > 0 {
                    tracing::error!(count = self.cdn.pending(), "drain timeout: purges for CDNs are lost");
                }
                break;
            }
            // A second signal ends the wait.
            match self.events.recv_timeout(Duration::from_millis(10)) {
                Ok(Event::Drain(_)) => break,
                Ok(Event::Order(order)) => order.refuse(),
                Ok(Event::Changed(_)) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        let deadline = deadline.max(self.cut_off());
        self.control.leave();
        self.flush_spans(deadline.min(time::now() + SPANS_PATIENCE));
        for worker in self.workers.drain(..).filter(JoinHandle::is_finished) {
            let _ = worker.join();
        }
        self.records.access().flush();
        self.save_cache();
        self.remember_asked();
        tracing::info!("stopped");
    }

    /// Has what is still under way given up, and recorded as that. Gives until when others may take their time for it.
    fn cut_off(&self) -> time::Instant {
        let open = || self.workers.iter().any(|worker| !worker.is_finished());
        let now = time::now();
        if !open() {
            return now;
        }
        self.drain.give_up();
        let until = now + CUT_PATIENCE;
        while open() && time::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        until
    }

    /// Waits until the last spans have been sent. A receiver that is not there is not waited for as exchanges are.
    fn flush_spans(&self, until: time::Instant) {
        while self.records.spans().pending() > 0 {
            if time::now() >= until {
                tracing::warn!(count = self.records.spans().pending(), "the receiver is not there: spans are lost");
                return;
            }
            // A second signal ends the wait.
            if let Ok(Event::Drain(_)) = self.events.recv_timeout(Duration::from_millis(5)) {
                return;
            }
        }
    }
}
