//! What waits for one CDN: in order, each thing once, bounded, taken in batches.
//!
//! Pure. Invariant: what was put in is waiting, on its way, merged into something that does at least the same and is sent later, or
//! was refused as [`Put::Full`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Mode;

/// One thing that is purged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// What has this tag.
    Tag(Arc<str>),
    /// What is stored for this URL.
    Url(Arc<str>),
    /// Everything.
    All,
}

/// Which subjects may share a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tags.
    Tags,
    /// URLs.
    Urls,
    /// Everything.
    All,
}

impl Subject {
    /// With which others it may share a request.
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Tag(_) => Kind::Tags,
            Self::Url(_) => Kind::Urls,
            Self::All => Kind::All,
        }
    }

    /// Its name; empty for everything.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Tag(text) | Self::Url(text) => text,
            Self::All => "",
        }
    }
}

/// How much fits into one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Subjects.
    pub(super) subjects: usize,
    /// Bytes of their names, one more for each.
    pub(super) bytes: usize,
}

/// What one request is about: subjects of one kind and mode, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) kind: Kind,
    pub(super) mode: Mode,
    /// By their places in the queue.
    pub(super) subjects: Vec<(u64, Subject)>,
}

/// What became of something that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It waits, and so many others need not wait any more since it covers them.
    Queued { merged: usize },
    /// Something that waits does the same already.
    Merged,
    /// There is no room.
    Full,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    max: usize,
    next: u64,
    waiting: BTreeMap<u64, (Subject, Mode)>,
    places: HashMap<Subject, u64>,
    /// What is on its way, by the place of its first subject.
    taken: BTreeMap<u64, Batch>,
}

impl Queue {
    /// An empty one for so many subjects.
    pub(super) fn new(max: usize) -> Self {
        Self { max, next: 0, waiting: BTreeMap::new(), places: HashMap::new(), taken: BTreeMap::new() }
    }

    /// Changes how many may wait. What waits already stays.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait or are on their way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.taken.values().map(|batch| batch.subjects.len()).sum::<usize>()
    }

    /// Puts a subject at the end. One on its way is no reason to leave it out: that request may have been served before.
    pub(super) fn put(&mut self, subject: Subject, mode: Mode) -> Put {
        if self.places.get(&Subject::All).and_then(|place| self.waiting.get(place)).is_some_and(|(_, all)| *all >= mode)
        {
            return Put::Merged;
        }
        if let Some((_, known)) = self.places.get(&subject).and_then(|place| self.waiting.get_mut(place)) {
            *known = mode.max(*known);
            return if subject == Subject::All { Put::Queued { merged: self.cover(mode) } } else { Put::Merged };
        }
        if subject == Subject::All {
            // Makes its own room.
            let merged = self.cover(mode);
            self.insert(self.next, subject, mode);
            return Put::Queued { merged };
        }
        if self.waiting.len() >= self.max {
            return Put::Full;
        }
        self.insert(self.next, subject, mode);
        Put::Queued { merged: 0 }
    }

    /// Takes the first that waits, and with it what may share its request. To be followed by [`Self::done`].
    pub(super) fn take(&mut self, room: impl Fn(Kind) -> Room) -> Option<Batch> {
        let (kind, mode) = self.waiting.first_key_value().map(|(_, (subject, mode))| (subject.kind(), *mode))?;
        let room = room(kind);
        let mut bytes = 0;
        let alike = self.waiting.iter().filter(|(_, (subject, other))| subject.kind() == kind && *other == mode);
        let chosen = alike.take(room.subjects.max(1)).take_while(|(_, (subject, _))| {
            // The first always goes: alone it fits or never will.
            let first = bytes == 0;
            bytes += subject.text().len() + 1;
            first || bytes <= room.bytes
        });
        let subjects: Vec<_> = chosen.map(|(place, (subject, _))| (*place, subject.clone())).collect();
        for (place, subject) in &subjects {
            self.waiting.remove(place);
            self.places.remove(subject);
        }
        let first = subjects.first()?.0;
        let batch = Batch { kind, mode, subjects };
        self.taken.insert(first, batch.clone());
        Some(batch)
    }

    /// Forgets a batch that was taken.
    pub(super) fn done(&mut self, batch: &Batch) {
        if let Some((first, _)) = batch.subjects.first() {
            self.taken.remove(first);
        }
    }

    /// Lets what is on its way wait again, where it stood before. Gives how many of them wait a second time already.
    pub(super) fn give_back(&mut self) -> usize {
        let mut merged = 0;
        for batch in std::mem::take(&mut self.taken).into_values() {
            for (place, subject) in batch.subjects {
                match self.places.get(&subject).and_then(|place| self.waiting.get_mut(place)) {
                    Some((_, known)) => {
                        *known = batch.mode.max(*known);
                        merged += 1;
                    }
                    None => self.insert(place, subject, batch.mode),
                }
            }
        }
        merged
    }

    /// Takes out what a purge of everything does as well.
    fn cover(&mut self, mode: Mode) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|_, (subject, other)| *subject == Subject::All || *other > mode);
        let waiting = &self.waiting;
        self.places.retain(|_, place| waiting.contains_key(place));
        before - self.waiting.len()
    }

    fn insert(&mut self, place: u64, subject: Subject, mode: Mode) {
        self.next = self.next.max(place + 1);
        self.places.insert(subject.clone(), place);
        self.waiting.insert(place, (subject, mode));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Mode::{Hard, Soft};
    use super::*;

    const ANY: Room = Room { subjects: 3, bytes: 100 };

    fn tag(text: &str) -> Subject {
        Subject::Tag(text.into())
    }

    fn url(text: &str) -> Subject {
        Subject::Url(text.into())
    }

    fn take(queue: &mut Queue, room: Room) -> String {
        let Some(batch) = queue.take(|_| room) else { return String::new() };
        let names: Vec<_> = batch.subjects.iter().map(|(_, subject)| subject.text()).collect();
        format!("{:?} {:?} {}", batch.mode, batch.kind, names.join(" ")).trim_end().to_owned()
    }

    #[test]
    fn what_is_alike_shares_a_request_and_the_first_goes_first() {
        let mut queue = Queue::new(100);
        for (subject, mode) in
            [(url("u"), Hard), (tag("a"), Hard), (tag("b"), Soft), (tag("c"), Hard), (tag("a"), Hard), (tag("d"), Hard)]
        {
            queue.put(subject, mode);
        }
        for name in ["e", "f"] {
            queue.put(tag(name), Hard);
        }
        assert_eq!(take(&mut queue, ANY), "Hard Urls u");
        assert_eq!(take(&mut queue, ANY), "Hard Tags a c d");
        assert_eq!(take(&mut queue, ANY), "Soft Tags b");
        assert_eq!(take(&mut queue, Room { bytes: 3, ..ANY }), "Hard Tags e");
        assert_eq!(take(&mut queue, Room { bytes: 0, ..ANY }), "Hard Tags f");
        assert_eq!((take(&mut queue, ANY), queue.waiting(), queue.len()), (String::new(), 0, 7));
    }

    #[test]
    fn the_harder_of_two_stays() {
        let mut queue = Queue::new(1);
        assert_eq!(queue.put(tag("a"), Soft), Put::Queued { merged: 0 });
        assert_eq!(queue.put(tag("a"), Hard), Put::Merged);
        assert_eq!(queue.put(tag("a"), Soft), Put::Merged);
        assert_eq!(queue.put(tag("b"), Soft), Put::Full);
        assert_eq!(take(&mut queue, ANY), "Hard Tags a");
        // The one on its way says nothing about later ones.
        assert_eq!(queue.put(tag("a"), Soft), Put::Queued { merged: 0 });
    }

    #[test]
    fn everything_covers_what_is_not_harder() {
        let mut queue = Queue::new(3);
        for (name, mode) in [("a", Soft), ("b", Hard), ("c", Soft)] {
            queue.put(tag(name), mode);
        }
        assert_eq!(queue.put(Subject::All, Soft), Put::Queued { merged: 2 });
        assert_eq!((queue.put(tag("a"), Soft), queue.put(tag("d"), Hard)), (Put::Merged, Put::Queued { merged: 0 }));
        assert_eq!(queue.put(Subject::All, Hard), Put::Queued { merged: 2 });
        assert_eq!((queue.put(tag("e"), Hard), queue.put(Subject::All, Soft)), (Put::Merged, Put::Merged));
        assert_eq!((take(&mut queue, ANY).as_str(), queue.waiting()), ("Hard All", 0));
        assert_eq!(queue.put(tag("a"), Soft), Put::Queued { merged: 0 });
    }

    #[test]
    fn what_is_given_back_stands_where_it_stood() {
        let mut queue = Queue::new(10);
        for name in ["a", "b", "c"] {
            queue.put(tag(name), Soft);
        }
        let first = queue.take(|_| Room { subjects: 1, ..ANY }).unwrap();
        assert_eq!(take(&mut queue, Room { subjects: 1, ..ANY }), "Soft Tags b");
        queue.put(tag("b"), Hard);
        assert_eq!((queue.len(), queue.give_back(), queue.len()), (4, 1, 3));
        assert_eq!(queue.take(|_| ANY).unwrap().subjects.first(), first.subjects.first());
        assert_eq!(take(&mut queue, ANY), "Hard Tags b");
        let left = queue.take(|_| ANY);
        assert_eq!((left, queue.len()), (None, 3));
        queue.done(&first);
        assert_eq!(queue.len(), 1);
    }
}
