//! The thread behind a [`Forwarder`](super::Forwarder): takes purges from whoever has some and puts them on the lines.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::line::Line;
use super::queue::Subject;
use super::report::{Counts, Report};
use super::{Mode, Purge, Settings};

/// Purges that the thread has not looked at yet. It does nothing else, so these are few; each may name many things.
const PURGES_MAX: usize = 4096;

/// What handles and thread share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// To the thread, once there is one.
    thread: OnceLock<Ends>,
    /// Held while a thread is started.
    starting: Mutex<()>,
    /// Whether anybody is to be told.
    active: AtomicBool,
    /// Things in purges that the thread has not looked at yet.
    arriving: Arc<AtomicUsize>,
    full: AtomicBool,
    counts: Arc<Mutex<Vec<Arc<Counts>>>>,
}

#[derive(Debug)]
struct Ends {
    purges: mpsc::Sender<(Purge, Mode)>,
    settings: watch::Sender<Arc<[Settings]>>,
}

impl Purge {
    fn len(&self) -> usize {
        match self {
            Self::Tags(names) | Self::Urls(names) => names.len(),
            Self::All => 1,
        }
    }
}

impl Shared {
    pub(super) fn adopt(&self, settings: &[Settings]) -> io::Result<()> {
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        self.name_counts(settings);
        match self.thread.get() {
            Some(ends) => drop(ends.settings.send_replace(settings.into())),
            None if settings.is_empty() => {}
            None => {
                let ends = self.start(settings.into())?;
                // Nobody else sets it: we hold the lock.
                let _ = self.thread.set(ends);
            }
        }
        self.active.store(!settings.is_empty(), SeqCst);
        Ok(())
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(SeqCst)
    }

    pub(super) fn forward(&self, purge: Purge, mode: Mode) {
        let Some(ends) = self.thread.get().filter(|_| self.active.load(SeqCst)) else { return };
        let count = purge.len();
        // Before, so that it is never missing in between.
        self.arriving.fetch_add(count, SeqCst);
        if ends.purges.try_send((purge, mode)).is_ok() {
            return self.full.store(false, Relaxed);
        }
        self.arriving.fetch_sub(count, SeqCst);
        for counts in self.present() {
            counts.dropped.add(count as u64);
        }
        if !self.full.swap(true, Relaxed) {
            tracing::error!(max = PURGES_MAX, "too many purges at once for the CDNs: further ones are lost");
        }
    }

    pub(super) fn pending(&self) -> usize {
        // First: what leaves here is on the lines before.
        let arriving = self.arriving.load(SeqCst);
        arriving + self.present().iter().map(|counts| counts.pending.load(SeqCst)).sum::<usize>()
    }

    pub(super) fn report(&self) -> Vec<Report> {
        self.present().iter().map(|counts| counts.report()).collect()
    }

    fn present(&self) -> Vec<Arc<Counts>> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().filter(|counts| counts.present.load(Relaxed)).map(Arc::clone).collect()
    }

    /// Has counts for all that are named, and knows who is not.
    fn name_counts(&self, settings: &[Settings]) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for known in counts.iter() {
            known.present.store(settings.iter().any(|settings| settings.name == known.name), Relaxed);
        }
        for settings in settings {
            if counts.iter().all(|known| known.name != settings.name) {
                counts.push(Arc::new(Counts::new(settings.name.clone())));
            }
        }
    }

    fn start(&self, settings: Arc<[Settings]>) -> io::Result<Ends> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (purges, arriving) = mpsc::channel(PURGES_MAX);
        let (sender, settings) = watch::channel(settings);
        let (waiting, counts) = (Arc::clone(&self.arriving), Arc::clone(&self.counts));
        thread::Builder::new().name("cdn".into()).spawn(move || {
            let post = Post { purges: arriving, settings, lines: Vec::new(), arriving: waiting, counts };
            LocalSet::new().block_on(&runtime, post.run());
        })?;
        Ok(Ends { purges, settings: sender })
    }
}

/// What the thread has.
struct Post {
    purges: mpsc::Receiver<(Purge, Mode)>,
    settings: watch::Receiver<Arc<[Settings]>>,
    lines: Vec<Line>,
    arriving: Arc<AtomicUsize>,
    counts: Arc<Mutex<Vec<Arc<Counts>>>>,
}

impl Post {
    /// Ends when the last handle is gone.
    async fn run(mut self) {
        self.adopt();
        loop {
            tokio::select! {
                // A purge that comes after a change is for those whom the change names.
                biased;
                changed = self.settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.adopt();
                }
                purge = self.purges.recv() => {
                    let Some((purge, mode)) = purge else { return };
                    let count = purge.len();
                    self.put(purge, mode);
                    self.arriving.fetch_sub(count, SeqCst);
                }
            }
        }
    }

    /// Has a line for each CDN of the present settings. Where one stays as it was, nobody notices.
    fn adopt(&mut self) {
        let settings = Arc::clone(&self.settings.borrow_and_update());
        let mut before: VecDeque<Line> = std::mem::take(&mut self.lines).into();
        for settings in settings.iter() {
            let known = before.iter().position(|line| line.settings().name == settings.name);
            let known = known.and_then(|index| before.remove(index));
            let line = match known {
                Some(line) if line.settings() == settings => Some(line),
                known => self.counts(settings).map(|counts| Line::new(settings.clone(), counts, known.as_ref())),
            };
            self.lines.extend(line);
        }
        for line in before {
            line.abandon();
        }
    }

    fn counts(&self, settings: &Settings) -> Option<Arc<Counts>> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().find(|counts| counts.name == settings.name).map(Arc::clone)
    }

    fn put(&self, purge: Purge, mode: Mode) {
        match purge {
            Purge::Tags(names) => names.into_iter().for_each(|name| self.put_one(&Subject::Tag(name.into()), mode)),
            Purge::Urls(names) => names.into_iter().for_each(|name| self.put_one(&Subject::Url(name.into()), mode)),
            Purge::All => self.put_one(&Subject::All, mode),
        }
    }

    fn put_one(&self, subject: &Subject, mode: Mode) {
        for line in &self.lines {
            line.put(subject, mode);
        }
    }
}
