//! The line to one CDN: what waits for it, and the couriers who bring it there.
//!
//! States of a purge: waiting → on its way → done, or waiting again when the line is replaced. A few couriers share a line, so that one
//! request that fails again and again holds up no others; when the CDN asks all to wait, all do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::queue::{Batch, Put, Queue, Subject};
use super::report::Counts;
use super::{Mode, Settings};
use crate::outbound::{Client, Outcome, Scope, chance};
use crate::time::{self, Instant};

/// Requests that a CDN may be busy with at one time. Few: CDNs limit how often they are asked.
const COURIERS: usize = 4;

/// How long the first purge waits for others to share its request. Nobody notices, and one purge seldom comes alone.
const GATHER: Duration = Duration::from_millis(20);

/// A line that is served until it is dropped.
pub(super) struct Line {
    shared: Rc<Inner>,
    task: AbortHandle,
}

struct Inner {
    settings: Settings,
    queue: RefCell<Queue>,
    news: Notify,
    counts: Arc<Counts>,
    client: Option<Client>,
    /// Until when the CDN asks all to wait.
    closed_until: Cell<Option<Instant>>,
    /// Whether there was no room for the last that came.
    full: Cell<bool>,
    /// Whether the last answer was bad.
    failing: Cell<bool>,
    /// Whether it was said that this CDN cannot be asked for everything.
    unsupported: Cell<bool>,
}

impl Line {
    /// A line; `before`: the one that it takes the place of. Must run on a `LocalSet`.
    pub(super) fn new(settings: Settings, counts: Arc<Counts>, before: Option<&Self>) -> Self {
        let mut queue = Queue::new(settings.queue_max);
        if let Some(before) = before {
            before.task.abort();
            std::mem::swap(&mut queue, &mut before.shared.queue.borrow_mut());
            queue.resize(settings.queue_max);
            counts.merged.add(queue.give_back() as u64);
        }
        let client = Client::new(settings.trust.as_ref());
        let news = Notify::new();
        if queue.waiting() > 0 {
            news.notify_one();
        }
        let shared = Rc::new(Inner {
            settings,
            queue: RefCell::new(queue),
            news,
            counts,
            client,
            closed_until: Cell::new(None),
            full: Cell::new(false),
            failing: Cell::new(false),
            unsupported: Cell::new(false),
        });
        let couriers = Rc::clone(&shared);
        let task = tokio::task::spawn_local(async move {
            join_all((0..COURIERS).map(|_| couriers.serve())).await;
        });
        Self { shared, task: task.abort_handle() }
    }

    /// Its settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Gives up what waits: nobody names this CDN any more.
    pub(super) fn abandon(self) {
        let (count, counts) = (self.shared.queue.borrow().len(), &self.shared.counts);
        counts.failed.add(count as u64);
        counts.pending.store(0, Relaxed);
        if count > 0 {
            tracing::warn!(cdn = %counts.name, count, "purges given up: the configuration does not name this CDN any more");
        }
    }

    /// Takes a purge on, or counts why not.
    pub(super) fn put(&self, subject: &Subject, mode: Mode) {
        self.shared.put(subject, mode);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn put(&self, subject: &Subject, mode: Mode) {
        let (counts, form) = (&self.counts, &self.settings.form);
        if let Err(why) = form.admits(subject) {
            counts.unsupported.increment();
            // Once; who purges such things may do so all day.
            if !self.unsupported.replace(true) {
                tracing::warn!(cdn = %counts.name, purge = subject.text(), "not forwarded, nor are others like it: {why}");
            }
            return;
        }
        let put = self.queue.borrow_mut().put(subject.clone(), form.mode(subject.kind(), mode));
        match put {
            Put::Queued { merged } => counts.merged.add(merged as u64),
            Put::Merged => counts.merged.increment(),
            Put::Full => {
                counts.dropped.increment();
                // Once, until there is room again.
                if !self.full.replace(true) {
                    let max = self.settings.queue_max;
                    tracing::error!(cdn = %counts.name, max, "too many purges wait: further ones are lost");
                }
                return;
            }
        }
        self.full.set(false);
        self.note_pending();
        self.news.notify_one();
    }

    fn note_pending(&self) {
        self.counts.pending.store(self.queue.borrow().len(), Relaxed);
    }

    /// Brings batches to the CDN, one after the other.
    async fn serve(&self) {
        loop {
            self.news.notified().await;
            tokio::time::sleep(GATHER).await;
            let batch = self.queue.borrow_mut().take(|kind| self.settings.form.room(kind));
            let Some(batch) = batch else { continue };
            if self.queue.borrow().waiting() > 0 {
                self.news.notify_one();
            }
            self.deliver(&batch).await;
            self.queue.borrow_mut().done(&batch);
            self.note_pending();
        }
    }

    /// Asks for a batch until it is done or given up.
    async fn deliver(&self, batch: &Batch) {
        let (counts, began) = (&self.counts, time::now());
        let count = batch.subjects.len() as u64;
        let (call, client) = match (self.settings.form.call(batch), &self.client) {
            (Ok(call), Some(client)) => (call, client),
            (Err(why), _) => return self.give_up(count, why),
            (Ok(_), None) => return self.give_up(count, "this machine has no TLS"),
        };
        for tries in 1_u32.. {
            self.wait_until_open().await;
            let outcome = match client.send(&call, self.settings.timeout).await {
                Ok(answer) => answer.outcome(self.settings.form.proof(), time::unix()),
                Err(why) => Outcome::Later { why, asked: None, scope: Scope::Request },
            };
            let (why, asked, scope) = match outcome {
                Outcome::Taken => return self.succeed(count),
                Outcome::Refused(why) => return self.give_up(count, &why),
                Outcome::Later { why, asked, scope } => (why, asked, scope),
            };
            let spent = time::now().saturating_duration_since(began);
            let Some(wait) = self.settings.retries.wait(tries, spent, asked, chance()) else {
                return self.give_up(count, &format!("{why}; asked {tries} times"));
            };
            self.fail(&why);
            counts.retries.increment();
            match scope {
                Scope::Service => self.close(wait),
                Scope::Request => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Waits as long as the CDN asks all to.
    async fn wait_until_open(&self) {
        while let Some(until) = self.closed_until.get() {
            if until <= time::now() {
                self.closed_until.set(None);
            } else {
                tokio::time::sleep_until(until.into()).await;
            }
        }
    }

    fn close(&self, wait: Duration) {
        let until = time::now() + wait;
        self.closed_until.set(Some(self.closed_until.get().map_or(until, |known| known.max(until))));
    }

    fn succeed(&self, count: u64) {
        self.counts.sent.add(count);
        self.counts.note(None);
        if self.failing.replace(false) {
            tracing::info!(cdn = %self.counts.name, "takes purges again");
        }
    }

    fn fail(&self, why: &str) {
        self.counts.note(Some(why.to_owned()));
        // Once, not every time.
        if !self.failing.replace(true) {
            tracing::warn!(cdn = %self.counts.name, "does not take purges, they are tried again: {why}");
        }
    }

    fn give_up(&self, count: u64, why: &str) {
        self.counts.failed.add(count);
        self.counts.note(Some(why.to_owned()));
        self.failing.set(true);
        tracing::error!(cdn = %self.counts.name, count, "purges given up, what they name may still be served there: {why}");
    }
}
