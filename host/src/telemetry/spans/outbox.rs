//! Between the workers and the thread that exports: one box per worker, so that no worker waits for another.
//!
//! Invariant: what is in the boxes and with the exporter is never missing from [`Shared::pending`], and the boxes hold no more spans
//! than they may.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::report::Report;
use crate::telemetry::metrics::Counter;

/// Spans that are worth a request of their own.
pub(super) const BATCH_SPANS: usize = 512;

/// What all threads share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    boxes: Mutex<Vec<Arc<Outbox>>>,
    /// Most spans in one box.
    box_max: AtomicUsize,
    /// Spans that the exporter has taken and not settled.
    held: AtomicUsize,
    /// Rung when a box has enough for a request.
    pub(super) bell: Notify,
    /// Whether nothing is waited for any more: the gateway ends.
    hurry: AtomicBool,
    pub(super) counts: Counts,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) exported: Counter,
    /// There was no room for them beside later ones.
    pub(super) overflowed: Counter,
    /// The receiver does not want them.
    pub(super) rejected: Counter,
    /// The receiver could not be reached for too long.
    pub(super) given_up: Counter,
    /// Requests that were sent again.
    pub(super) retries: Counter,
}

/// Where one worker puts what is to be told.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Held by the worker to add one, and by the exporter to take all.
    reports: Mutex<VecDeque<Report>>,
    spans: AtomicUsize,
    shared: Arc<Shared>,
}

impl Shared {
    /// A box for one more worker.
    pub(super) fn open(self: &Arc<Self>) -> Arc<Outbox> {
        let shared = Arc::clone(self);
        let outbox = Arc::new(Outbox { reports: Mutex::default(), spans: AtomicUsize::new(0), shared });
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&outbox));
        outbox
    }

    /// Sets how many spans may wait, in all boxes of so many workers together. Each has room for one request, and so for any exchange.
    pub(super) fn limit(&self, spans: usize, workers: usize) {
        self.box_max.store((spans / workers.max(1)).max(BATCH_SPANS), Relaxed);
    }

    /// Spans in the boxes.
    pub(super) fn waiting(&self) -> usize {
        let boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        boxes.iter().map(|outbox| outbox.spans.load(SeqCst)).sum()
    }

    /// Spans that are not settled.
    pub(super) fn pending(&self) -> usize {
        // First the boxes: what leaves them is held before.
        self.waiting() + self.held.load(SeqCst)
    }

    /// Takes what is in the boxes until there are so many spans; the exporter holds them from then on.
    pub(super) fn take(&self, into: &mut Vec<Report>, spans: usize) {
        let boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut count: usize = into.iter().map(Report::spans).sum();
        for outbox in boxes {
            if count >= spans {
                return;
            }
            let taken = std::mem::take(&mut *outbox.reports.lock().unwrap_or_else(PoisonError::into_inner));
            let spans: usize = taken.iter().map(Report::spans).sum();
            self.held.fetch_add(spans, SeqCst);
            outbox.spans.fetch_sub(spans, SeqCst);
            count += spans;
            into.extend(taken);
        }
    }

    /// Says that the exporter has done with so many.
    pub(super) fn settle(&self, spans: usize) {
        self.held.fetch_sub(spans, SeqCst);
    }

    /// Lets the exporter send what there is, at once.
    pub(super) fn hurry(&self) {
        self.hurry.store(true, SeqCst);
        self.bell.notify_one();
    }

    pub(super) fn hurries(&self) -> bool {
        self.hurry.load(SeqCst)
    }
}

impl Outbox {
    /// Puts a report in. Where there is no room the oldest make some: what comes now is more interesting.
    pub(super) fn put(&self, report: Report) {
        let (spans, max) = (report.spans(), self.shared.box_max.load(Relaxed));
        // Counted first, so that it is never missing.
        let before = self.spans.fetch_add(spans, SeqCst);
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = (before + spans).saturating_sub(max);
        while let Some(oldest) = reports.pop_front_if(|_| over > 0) {
            let gone = oldest.spans();
            over = over.saturating_sub(gone);
            self.spans.fetch_sub(gone, SeqCst);
            self.shared.counts.overflowed.add(gone as u64);
        }
        reports.push_back(report);
        drop(reports);
        // Half of a small box is enough, too; rung once.
        let enough = BATCH_SPANS.min(max / 2);
        if before < enough && before + spans >= enough || self.shared.hurries() {
            self.shared.bell.notify_one();
        }
    }
}
