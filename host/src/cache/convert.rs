//! Stored responses as records that leave the process, and back. The clocks of processes differ: outside, times are those of the wall.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Stale;
use super::envelope::Record;
use super::purges::Marks;
use super::stored::{Content, Stored};

/// Flags of a record.
const VALIDATE: u32 = 1;
const STALE_FORBIDDEN: u32 = 2;

impl Stored {
    /// It as a record, if it is whole. `unix` is the time since the Unix epoch at `now`.
    pub(super) fn record(&self, key: &str, now: Instant, unix: Duration) -> Option<Record> {
        let body = self.whole()?.clone();
        let since = now.saturating_duration_since(self.received);
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        Some(Record {
            key: key.into(),
            url: self.marks.url.clone(),
            namespace: self.marks.namespace.clone(),
            vary: self.vary.to_vec(),
            status: self.status,
            headers: self.headers.clone(),
            body,
            tags: self.marks.tags.to_vec(),
            received_unix_ms: millis(unix.saturating_sub(since)),
            age_ms: millis(self.age),
            // What was purged softly is no longer fresh anywhere.
            ttl_ms: if self.softened.load(Ordering::Relaxed) { millis(since.min(self.ttl)) } else { millis(self.ttl) },
            stale_while_revalidate_ms: millis(self.stale.while_revalidate),
            stale_if_error_ms: millis(self.stale.if_error),
            stale_if_unreachable_ms: millis(self.stale.if_unreachable),
            refresh_ahead_ms: millis(self.refresh_ahead),
            generation: self.sequence,
            flags: flag(self.validate, VALIDATE) | flag(self.stale.forbidden, STALE_FORBIDDEN),
        })
    }

    /// The response of a record.
    pub(super) fn of_record(record: Record, now: Instant, unix: Duration) -> Self {
        let received = Duration::from_millis(record.received_unix_ms);
        let since = unix.saturating_sub(received);
        // A record from before this machine started has an age that the monotonic clock cannot tell.
        let (received, lost) = match now.checked_sub(since) {
            Some(received) => (received, Duration::ZERO),
            None => (now, since),
        };
        let has = |flag: u32| record.flags & flag != 0;
        let length = Duration::from_millis;
        Self {
            status: record.status,
            headers: record.headers,
            content: Content::Whole(record.body),
            vary: record.vary.into(),
            marks: Arc::new(Marks::new(record.url, record.namespace, record.tags)),
            received,
            age: length(record.age_ms) + lost,
            ttl: length(record.ttl_ms).saturating_sub(lost),
            stale: Stale {
                while_revalidate: length(record.stale_while_revalidate_ms),
                if_error: length(record.stale_if_error_ms),
                if_unreachable: length(record.stale_if_unreachable_ms),
                forbidden: has(STALE_FORBIDDEN),
            },
            validate: has(VALIDATE),
            refresh_ahead: length(record.refresh_ahead_ms),
            sequence: record.generation,
            checked: AtomicU64::new(0),
            softened: AtomicBool::new(false),
            hits: AtomicU32::new(0),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
