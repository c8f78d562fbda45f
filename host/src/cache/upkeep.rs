//! What is done with all that is stored: it is given up where memory is short, saved and loaded.
//!
//! Each of these takes a while and belongs on a thread that serves nobody.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::envelope::Envelope;
use super::stored::Stored;
use super::{Cache, keep};

impl Cache {
    /// Takes in what was stored before a restart, as far as it is good for anything yet. Blocks.
    pub fn load(&self, path: &Path, envelope: &Envelope) -> (u64, Option<String>) {
        let (now, unix) = (crate::time::now(), crate::time::unix());
        let mut loaded = keep::load(path, envelope, u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        for record in loaded.by_ref() {
            let key = record.key.clone();
            // Numbers of purges do not outlive the process; what was purged before was not saved.
            let stored = Stored { sequence: self.sequence(), ..Stored::of_record(record, now, unix) };
            self.keep(&key, &Arc::new(stored));
        }
        (loaded.records(), loaded.warning().map(str::to_owned))
    }

    /// Writes what is stored to a file for the next start. Blocks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path, envelope: &Envelope, bytes_max: u64) -> std::io::Result<keep::Saved> {
        let (now, unix) = (crate::time::now(), crate::time::unix());
        let stored = self.entries.iter().flat_map(|(key, entry)| {
            let there = |stored: &&Arc<Stored>| self.stands(&key, stored);
            let records: Vec<_> =
                entry.variants.iter().filter(there).filter_map(|stored| stored.record(&key, now, unix)).collect();
            records
        });
        keep::save(path, stored, envelope, bytes_max)
    }

    /// Gives a tenth of the memory back: what was asked for least, and of that what is oldest. Takes a while.
    pub fn shrink(&self) {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .flat_map(|(key, entry)| {
                let of = |stored: &Arc<Stored>| (stored.hits.load(Ordering::Relaxed), stored.received);
                let worth = entry.variants.iter().map(of).max();
                let bytes: usize = entry.variants.iter().map(|stored| stored.memory_bytes()).sum();
                worth.map(|worth| (worth, bytes as u64, key))
            })
            .collect();
        all.sort_unstable_by_key(|(worth, ..)| *worth);
        let mut wanted = all.iter().map(|(_, bytes, _)| bytes).sum::<u64>() / 10;
        let mut gone = 0_u64;
        for (_, bytes, key) in all {
            if wanted == 0 {
                break;
            }
            self.entries.invalidate(&*key);
            (wanted, gone) = (wanted.saturating_sub(bytes), gone + 1);
        }
        if gone > 0 {
            self.entries.run_pending_tasks();
            tracing::warn!(responses = gone, "little memory is left: stored responses are given up");
        }
    }

    /// The URLs of what is stored, what was asked for most first.
    pub fn most_asked(&self) -> Vec<Box<str>> {
        let mut all: Vec<(u32, Box<str>)> = self
            .entries
            .iter()
            .flat_map(|(_, entry)| {
                let asked = |stored: &Arc<Stored>| (stored.hits.load(Ordering::Relaxed), stored.marks.url.clone());
                entry.variants.iter().map(asked).collect::<Vec<_>>()
            })
            .collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        let mut seen = std::collections::HashSet::new();
        all.into_iter().map(|(_, url)| url).filter(|url| seen.insert(url.clone())).collect()
    }
}
