//! What has been purged: by key, URL, tag, namespace or altogether in no time, by condition when next looked at.
//!
//! Nothing is searched for when something is purged. A purge gets a number and leaves it where the responses that it means look: in a
//! table by hash for URLs, tags and namespaces, in a short list for conditions. A stored response remembers the last number that there
//! was when it was asked for; whoever finds it compares. Two names with one hash are purged together, which costs a fetch.
//! Invariant: once [`Purges::add`] has returned, nothing that was asked for before is used.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use super::stored::Stored;

/// Places for numbers of purges. With these, one purge hits something else once in 65 536 times.
const SLOTS: usize = 1 << 16;

/// Most conditions that are remembered. When there are more, the oldest has been compared with everything by [`super::Cache::sweep`].
const CONDITIONS_MAX: usize = 256;

/// So many may wait until that has been done. Beyond, what was not compared with the oldest counts as purged by them.
pub(super) const CONDITIONS_WAITING_MAX: usize = 1024;

/// What is purged: everything for which all of this holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// It is stored under this key. One without the route that keys begin with is meant on all routes.
    pub key: Option<String>,
    /// Scheme, host, path and query, as in `https://example.com/a?b`.
    pub url: Option<String>,
    /// It has this tag.
    pub tag: Option<String>,
    /// It is in this namespace.
    pub namespace: Option<String>,
    /// Its URL matches this, in which `*` stands for anything.
    pub pattern: Option<String>,
    /// It has this status.
    pub status: Option<u16>,
    /// It has a field with this name, of which the value contains this.
    pub field: Option<(String, String)>,
    /// It is at least so many seconds old.
    pub age_min: Option<u64>,
    /// Its body has at least so many bytes.
    pub bytes_min: Option<u64>,
}

/// What purging does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is gone.
    #[default]
    Hard,
    /// It is stale: used while it is fetched anew, validated, or where the upstream fails.
    Soft,
}

impl Mode {
    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// What purges find a stored response by.
#[derive(Debug, PartialEq, Eq)]
pub struct Marks {
    /// Scheme, host, path and query.
    pub url: Box<str>,
    /// What is made unreachable at once.
    pub namespace: Box<str>,
    /// Names that the upstream or a plugin gave it.
    pub tags: Box<[Box<str>]>,
    slots: Box<[usize]>,
}

impl Marks {
    /// The marks of a response.
    pub fn new(url: Box<str>, namespace: Box<str>, tags: Vec<Box<str>>) -> Self {
        let named = tags.iter().map(|tag| slot("tag", tag));
        let slots = [slot("url", &url), slot("namespace", &namespace), slot("all", "")];
        Self { slots: slots.into_iter().chain(named).collect(), url, namespace, tags: tags.into() }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 16).sum();
        self.url.len() + self.namespace.len() + tags + self.slots.len() * 8
    }
}

pub(super) fn slot(kind: &str, name: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    (kind, name).hash(&mut hasher);
    usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default()
}

/// How a stored response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No purge meant it, or only softly.
    There,
    /// It has been purged.
    Gone,
}

/// All purges.
pub(super) struct Purges {
    /// The number of the last one.
    sequence: AtomicU64,
    hard: Box<[AtomicU64]>,
    soft: Box<[AtomicU64]>,
    /// The number of the last condition.
    last_condition: AtomicU64,
    conditions: RwLock<Conditions>,
    sweeping: AtomicBool,
    /// Held while a purge is added, so that numbers come in order.
    adding: Mutex<()>,
}

#[derive(Default)]
struct Conditions {
    waiting: VecDeque<Condition>,
    /// The number of the last that is no longer remembered, of either kind. What was stored since without having been compared with them
    /// may be meant by them.
    forgotten_hard: u64,
    forgotten_soft: u64,
}

struct Condition {
    number: u64,
    /// When it was purged: what counts is how old something was then.
    at: std::time::Instant,
    selection: Selection,
    mode: Mode,
}

impl Purges {
    pub(super) fn new() -> Self {
        let slots = || std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self {
            sequence: AtomicU64::default(),
            hard: slots(),
            soft: slots(),
            last_condition: AtomicU64::default(),
            conditions: RwLock::default(),
            sweeping: AtomicBool::default(),
            adding: Mutex::default(),
        }
    }

    /// The number of the last purge. What is asked for from now on is not meant by it or any before.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Purges. The number is the next, or `given` where that is more.
    pub(super) fn add(&self, selection: &Selection, mode: Mode, given: Option<u64>) -> u64 {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let number = (self.sequence() + 1).max(given.unwrap_or_default());
        match direct(selection) {
            Some(slot) => {
                let table = if mode == Mode::Hard { &self.hard } else { &self.soft };
                if let Some(place) = table.get(slot) {
                    place.store(number, Ordering::Release);
                }
            }
            None => {
                let mut conditions = self.conditions.write().unwrap_or_else(PoisonError::into_inner);
                let at = crate::time::now();
                conditions.waiting.push_back(Condition { number, at, selection: selection.clone(), mode });
                while conditions.waiting.len() > CONDITIONS_WAITING_MAX {
                    conditions.forget_first();
                }
                self.last_condition.store(number, Ordering::Release);
            }
        }
        // Last: who sees the number sees what it is about.
        self.sequence.store(number, Ordering::Release);
        number
    }

    /// Whether so many conditions are waiting that everything should be compared with them, and nobody does it yet. Who is told so does it,
    /// and then says [`Self::end_sweep`].
    pub(super) fn begins_sweep(&self) -> bool {
        let waiting = self.conditions.read().unwrap_or_else(PoisonError::into_inner).waiting.len();
        waiting > CONDITIONS_MAX && !self.sweeping.swap(true, Ordering::AcqRel)
    }

    /// Everything has been compared, or could not be.
    pub(super) fn end_sweep(&self) {
        self.sweeping.store(false, Ordering::Release);
    }

    /// How many conditions wait.
    pub(super) fn waiting(&self) -> usize {
        self.conditions.read().unwrap_or_else(PoisonError::into_inner).waiting.len()
    }

    /// Forgets conditions up to this number; everything has been compared with them.
    pub(super) fn forget(&self, number: u64) {
        let mut conditions = self.conditions.write().unwrap_or_else(PoisonError::into_inner);
        while conditions.waiting.front().is_some_and(|condition| condition.number <= number) {
            conditions.forget_first();
        }
    }

    /// How a stored response stands.
    pub(super) fn judge(&self, stored: &Stored, key: &str) -> Standing {
        let last = self.sequence();
        let checked = stored.checked.load(Ordering::Relaxed);
        if checked == last {
            return Standing::There;
        }
        let later = |table: &[AtomicU64]| {
            let mut slots = stored.marks.slots.iter();
            slots.any(|slot| table.get(*slot).is_some_and(|place| place.load(Ordering::Acquire) > stored.sequence))
        };
        if later(&self.hard) {
            return Standing::Gone;
        }
        if later(&self.soft) {
            stored.softened.store(true, Ordering::Relaxed);
        }
        if self.last_condition.load(Ordering::Acquire) > checked {
            let conditions = self.conditions.read().unwrap_or_else(PoisonError::into_inner);
            let checked = checked.max(stored.sequence);
            // It was on its way while everything else was compared.
            if checked < conditions.forgotten_hard {
                return Standing::Gone;
            }
            if checked < conditions.forgotten_soft {
                stored.softened.store(true, Ordering::Relaxed);
            }
            for condition in conditions.waiting.iter().filter(|condition| condition.number > checked) {
                match (condition.selection.matches(stored, key, condition.at), condition.mode) {
                    (true, Mode::Hard) => return Standing::Gone,
                    (true, Mode::Soft) => stored.softened.store(true, Ordering::Relaxed),
                    (false, _) => {}
                }
            }
        }
        stored.checked.store(last, Ordering::Relaxed);
        Standing::There
    }
}

impl Conditions {
    fn forget_first(&mut self) {
        let Some(condition) = self.waiting.pop_front() else { return };
        let forgotten = if condition.mode == Mode::Hard { &mut self.forgotten_hard } else { &mut self.forgotten_soft };
        *forgotten = condition.number;
    }
}

/// The place in the table, where the selection is only a URL, only a tag, only a namespace or everything.
fn direct(selection: &Selection) -> Option<usize> {
    let Selection { key, url, tag, namespace, pattern, status, field, age_min, bytes_min } = selection;
    let conditions = key.is_some()
        || pattern.is_some()
        || status.is_some()
        || field.is_some()
        || age_min.is_some()
        || bytes_min.is_some();
    match (url, tag, namespace) {
        _ if conditions => None,
        (Some(url), None, None) => Some(slot("url", url)),
        (None, Some(tag), None) => Some(slot("tag", tag)),
        (None, None, Some(namespace)) => Some(slot("namespace", namespace)),
        (None, None, None) => Some(slot("all", "")),
        _ => None,
    }
}

impl Selection {
    /// Whether all of it holds for a stored response.
    pub(super) fn matches(&self, stored: &Stored, key: &str, now: std::time::Instant) -> bool {
        let marks = &stored.marks;
        let has_field = |(name, part): &(String, String)| {
            let values = stored.headers.get_all(name.as_str()).into_iter();
            let contains = |value: &[u8]| value.windows(part.len().max(1)).any(|window| window == part.as_bytes());
            values.into_iter().any(|value| part.is_empty() || contains(value.as_bytes()))
        };
        let bytes = stored.whole().map_or(0, |bytes| bytes.len() as u64);
        self.key.as_ref().is_none_or(|wanted| wanted == key || split(key).1 == *wanted)
            && self.url.as_ref().is_none_or(|url| **url == *marks.url)
            && self.tag.as_ref().is_none_or(|tag| marks.tags.iter().any(|known| **known == **tag))
            && self.namespace.as_ref().is_none_or(|namespace| **namespace == *marks.namespace)
            && self.pattern.as_ref().is_none_or(|pattern| matches(pattern.as_bytes(), marks.url.as_bytes()))
            && self.status.is_none_or(|status| status == stored.status.as_u16())
            && self.field.as_ref().is_none_or(has_field)
            && self.age_min.is_none_or(|least| stored.age(now).as_secs() >= least)
            && self.bytes_min.is_none_or(|least| bytes >= least)
    }
}

/// The route that a key begins with, and the rest.
pub(super) fn split(key: &str) -> (&str, &str) {
    key.split_once('\0').unwrap_or(("", key))
}

/// Whether a text matches a pattern in which `*` stands for anything. Takes no longer than their lengths multiplied.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(byte) if Some(byte) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                (p, t) = (star + 1, from + 1);
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        let check = |pattern: &str, text: &str, expected| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        };
        check("*", "", true);
        check("", "a", false);
        check("http://a/*", "http://a/b/c", true);
        check("http://a/*.js", "http://a/b/c.js", true);
        check("http://a/*.js", "http://a/b/c.jsx", false);
        check("*/b/*", "http://a/b/c", true);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b*c", "xxaxxbxx", false);
        check("a", "a", true);
        check("a*a", "a", false);
    }
}
