//! Looking at everything that is stored: to take out what has been purged, and for operators.
//!
//! Border: all of this takes a while where much is stored, so nobody does it on the way of a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::purges::{Standing, split};
use super::stored::Content;
use super::{Cache, Stored};

/// Most responses in one list.
const LISTED_MAX: usize = 1000;

/// A stored response, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The route that stored it.
    pub route: String,
    /// Under what, behind the route.
    pub key: String,
    /// Its status.
    pub status: u16,
    /// How old it is (RFC 9111 section 4.2.3).
    pub age: Duration,
    /// How much longer it is fresh; zero: it is stale.
    pub ttl: Duration,
    /// Whether it is `whole`, a `part`, or still `growing`.
    pub content: &'static str,
    /// Bytes of the body, as far as they are there.
    pub body_bytes: u64,
    /// Bytes of everything that is kept of it.
    pub memory_bytes: u64,
    /// What is made unreachable at once with it.
    pub namespace: String,
    /// Names under which it can be purged.
    pub tags: Vec<String>,
    /// The request fields that it depends on, and what they were.
    pub vary: Vec<(String, Option<String>)>,
}

impl Cache {
    /// Compares everything with all purges, takes out what has gone, and forgets conditions that have been compared with everything. Gives
    /// what [`Self::compare`] gives.
    pub fn sweep(&self) -> u64 {
        let last = self.purges.sequence();
        let hit = self.compare();
        self.purges.forget(last);
        hit
    }

    /// Sweeps where many conditions are waiting, on a thread of its own: a worker must not stand still for it.
    pub(super) fn sweep_aside(&self) {
        if !self.purges.begins_sweep() {
            return;
        }
        let cache = self.clone();
        let started = std::thread::Builder::new().name("sweep".into()).spawn(move || {
            cache.sweep();
            cache.purges.end_sweep();
        });
        if started.is_err() {
            self.purges.end_sweep();
        }
    }

    /// Compares everything with all purges and takes out what has gone. Gives how much was not yet known to be gone or, by a soft purge,
    /// stale.
    pub fn compare(&self) -> u64 {
        let mut hit = 0;
        for (key, entry) in &self.entries {
            for stored in &entry.variants {
                let stale = stored.softened.load(Ordering::Relaxed);
                match self.purges.judge(stored, &key) {
                    Standing::Gone => {
                        self.take_out(&key, stored);
                        hit += 1;
                    }
                    Standing::There => hit += u64::from(!stale && stored.softened.load(Ordering::Relaxed)),
                }
            }
        }
        hit
    }

    /// How many conditions of purges are remembered.
    pub fn conditions(&self) -> usize {
        self.purges.waiting()
    }

    /// How many keys there are, and how many bytes they hold. Nearly: moka counts in the background.
    pub fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// The same after moka has counted. Takes a while.
    pub fn counted_size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        self.size()
    }

    /// Most bytes of all stored responses together, and of one body.
    pub fn limits(&self) -> (u64, u64) {
        (self.entries.policy().max_capacity().unwrap_or(u64::MAX), self.object_bytes_max)
    }

    /// What is stored for a URL, on one route or on all, under whatever keys; at most a thousand.
    pub fn list(&self, url: &str, route: Option<&str>) -> Vec<Listed> {
        let now = crate::time::now();
        let mut listed = Vec::new();
        for (key, entry) in &self.entries {
            let (of, rest) = split(&key);
            if route.is_some_and(|wanted| wanted != of) {
                continue;
            }
            let meant = entry.variants.iter().filter(|stored| *stored.marks.url == *url);
            let there = meant.filter(|stored| self.purges.judge(stored, &key) == Standing::There);
            listed.extend(there.map(|stored| show(stored, (of, rest), now)));
            if listed.len() >= LISTED_MAX {
                break;
            }
        }
        listed.truncate(LISTED_MAX);
        listed.sort_by(|one, two| (&one.route, &one.key).cmp(&(&two.route, &two.key)));
        listed
    }
}

fn show(stored: &Arc<Stored>, (route, key): (&str, &str), now: Instant) -> Listed {
    let (content, body_bytes) = match &stored.content {
        Content::Whole(bytes) => ("whole", bytes.len()),
        Content::Part { bytes, .. } => ("part", bytes.len()),
        Content::Growing(_) => ("growing", 0),
    };
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Listed {
        route: route.to_owned(),
        key: key.to_owned(),
        status: stored.status.as_u16(),
        age: stored.age(now),
        ttl: stored.ttl(now),
        content,
        body_bytes: body_bytes as u64,
        memory_bytes: stored.memory_bytes() as u64,
        namespace: stored.marks.namespace.to_string(),
        tags: stored.tags().map(str::to_owned).collect(),
        vary: stored.vary.iter().map(|(name, value)| (name.to_string(), value.as_ref().map(text))).collect(),
    }
}
