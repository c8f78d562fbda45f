//! What has become of purges, by CDN: counted while it happens, told to operators.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::names::Name;
use crate::telemetry::metrics::{Counter, Exposition, Kind};

/// Counts of one CDN. They stay over changes of the configuration.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) name: Name,
    /// Whether the present configuration names this CDN.
    pub(super) present: AtomicBool,
    /// Tags, URLs and other purges that wait or are on their way.
    pub(super) pending: AtomicUsize,
    pub(super) sent: Counter,
    pub(super) failed: Counter,
    pub(super) merged: Counter,
    pub(super) dropped: Counter,
    pub(super) unsupported: Counter,
    /// Requests that were made once more.
    pub(super) retries: Counter,
    /// What went wrong last, until something goes well.
    pub(super) trouble: Mutex<Option<String>>,
}

/// What has become of purges to one CDN. Each tag and each URL counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The CDN.
    pub name: Name,
    /// Those that wait or are on their way.
    pub pending: usize,
    /// Those that the CDN has done.
    pub sent: u64,
    /// Those that it refused or that were given up.
    pub failed: u64,
    /// Those that were left out since another did the same.
    pub merged: u64,
    /// Those for which there was no room.
    pub dropped: u64,
    /// Those that the CDN cannot be asked for.
    pub unsupported: u64,
    /// Requests that were made once more.
    pub retries: u64,
    /// What went wrong last, until something goes well.
    pub trouble: Option<String>,
}

impl Counts {
    /// Of a CDN that has not been told anything yet.
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            present: AtomicBool::new(true),
            pending: AtomicUsize::new(0),
            sent: Counter::default(),
            failed: Counter::default(),
            merged: Counter::default(),
            dropped: Counter::default(),
            unsupported: Counter::default(),
            retries: Counter::default(),
            trouble: Mutex::new(None),
        }
    }

    /// Notes what went wrong, or that nothing does.
    pub(super) fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// The counts as they are.
    pub(super) fn report(&self) -> Report {
        Report {
            name: self.name.clone(),
            pending: self.pending.load(Relaxed),
            sent: self.sent.value(),
            failed: self.failed.value(),
            merged: self.merged.value(),
            dropped: self.dropped.value(),
            unsupported: self.unsupported.value(),
            retries: self.retries.value(),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Writes the metrics; nothing where there is no CDN.
pub fn expose(reports: &[Report], out: &mut Exposition) {
    if reports.is_empty() {
        return;
    }
    let name = "portcullis_cdn_purges_total";
    out.family(
        name,
        "Tags, URLs and purges of everything that CDNs were told of, by what became of them.",
        Kind::Counter,
    );
    for report in reports {
        for (result, count) in [
            ("sent", report.sent),
            ("failed", report.failed),
            ("merged", report.merged),
            ("dropped", report.dropped),
            ("unsupported", report.unsupported),
        ] {
            out.count(name, &[("cdn", report.name.as_str()), ("result", result)], count);
        }
    }
    let name = "portcullis_cdn_retries_total";
    out.family(name, "Requests to CDNs that were made once more.", Kind::Counter);
    for report in reports {
        out.count(name, &[("cdn", report.name.as_str())], report.retries);
    }
    let name = "portcullis_cdn_pending";
    out.family(name, "Tags, URLs and purges of everything that CDNs have not answered for yet.", Kind::Gauge);
    for report in reports {
        out.count(name, &[("cdn", report.name.as_str())], report.pending as u64);
    }
}
