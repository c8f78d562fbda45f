//! Purges by chance, against a list of everything that was purged, which is searched.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::purges::slot;
use super::stored::Content;
use super::*;
use crate::time;

const KEYS: usize = 4;
const URLS: [&str; 3] = ["http://a/x", "http://a/y.js", "http://b/x"];
const TAGS: [&str; 3] = ["t", "u", "v"];
const NAMESPACES: [&str; 2] = ["n", "m"];
/// Patterns, and which of the URLs they mean.
const PATTERNS: [(&str, [bool; 3]); 4] = [
    ("http://a/*", [true, true, false]),
    ("*.js", [false, true, false]),
    ("*/x", [true, false, true]),
    ("https://*", [false, false, false]),
];
const STATUSES: [u16; 2] = [200, 404];
/// Ages of what is stored, and ages that are purged, in seconds; far enough from each other for slow machines.
const AGES: [u64; 3] = [0, 1000, 2000];
const AGES_MIN: [u64; 2] = [500, 1500];
const TTL: Duration = Duration::from_secs(10_000);

#[derive(Debug, Clone, Copy)]
struct Thing {
    url: usize,
    tags: [bool; 3],
    namespace: usize,
    status: usize,
    age: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Url(usize),
    Tag(usize),
    Namespace(usize),
    All,
    Key(usize),
    Pattern(usize),
    Status(usize),
    Age(usize),
    TagAndStatus(usize, usize),
    UrlAndNamespace(usize, usize),
}

#[derive(Debug, Clone)]
enum Step {
    /// Something is asked for and comes at once.
    Store(usize, Thing),
    /// Something is asked for, and comes later.
    Ask(usize, Thing),
    /// What was asked for first comes.
    Come,
    Purge(What, Mode),
    Sweep,
    /// Looks, so many seconds later.
    Find(usize, u64),
}

fn thing() -> impl Strategy<Value = Thing> {
    (0..URLS.len(), any::<[bool; 3]>(), 0..NAMESPACES.len(), 0..STATUSES.len(), 0..AGES.len())
        .prop_map(|(url, tags, namespace, status, age)| Thing { url, tags, namespace, status, age })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        (0..URLS.len()).prop_map(What::Url),
        (0..TAGS.len()).prop_map(What::Tag),
        (0..NAMESPACES.len()).prop_map(What::Namespace),
        Just(What::All),
        (0..KEYS).prop_map(What::Key),
        (0..PATTERNS.len()).prop_map(What::Pattern),
        (0..STATUSES.len()).prop_map(What::Status),
        (0..AGES_MIN.len()).prop_map(What::Age),
        (0..TAGS.len(), 0..STATUSES.len()).prop_map(|(tag, status)| What::TagAndStatus(tag, status)),
        (0..URLS.len(), 0..NAMESPACES.len()).prop_map(|(url, namespace)| What::UrlAndNamespace(url, namespace)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![Just(Mode::Hard), Just(Mode::Soft)];
    prop_oneof![
        4 => (0..KEYS, thing()).prop_map(|(key, thing)| Step::Store(key, thing)),
        2 => (0..KEYS, thing()).prop_map(|(key, thing)| Step::Ask(key, thing)),
        2 => Just(Step::Come),
        4 => (what(), mode).prop_map(|(what, mode)| Step::Purge(what, mode)),
        1 => Just(Step::Sweep),
        4 => (0..KEYS, 0_u64..20_000).prop_map(|(key, later)| Step::Find(key, later)),
    ]
}

fn selection(what: What) -> Selection {
    let none = Selection::default();
    let some = |text: &str| Some(text.to_owned());
    match what {
        What::Url(url) => Selection { url: some(URLS[url]), ..none },
        What::Tag(tag) => Selection { tag: some(TAGS[tag]), ..none },
        What::Namespace(namespace) => Selection { namespace: some(NAMESPACES[namespace]), ..none },
        What::All => none,
        What::Key(key) => Selection { key: Some(key.to_string()), ..none },
        What::Pattern(pattern) => Selection { pattern: some(PATTERNS[pattern].0), ..none },
        What::Status(status) => Selection { status: Some(STATUSES[status]), ..none },
        What::Age(age) => Selection { age_min: Some(AGES_MIN[age]), ..none },
        What::TagAndStatus(tag, status) => Selection { tag: some(TAGS[tag]), status: Some(STATUSES[status]), ..none },
        What::UrlAndNamespace(url, namespace) => {
            Selection { url: some(URLS[url]), namespace: some(NAMESPACES[namespace]), ..none }
        }
    }
}

fn means(what: What, key: usize, thing: Thing) -> bool {
    match what {
        What::Url(url) => thing.url == url,
        What::Tag(tag) => thing.tags[tag],
        What::Namespace(namespace) => thing.namespace == namespace,
        What::All => true,
        What::Key(wanted) => wanted == key,
        What::Pattern(pattern) => PATTERNS[pattern].1[thing.url],
        What::Status(status) => thing.status == status,
        What::Age(age) => AGES[thing.age] >= AGES_MIN[age],
        What::TagAndStatus(tag, status) => thing.tags[tag] && thing.status == status,
        What::UrlAndNamespace(url, namespace) => thing.url == url && thing.namespace == namespace,
    }
}

/// Whether it is remembered by a slot; otherwise it waits to be compared with everything.
fn is_direct(what: What) -> bool {
    matches!(what, What::Url(_) | What::Tag(_) | What::Namespace(_) | What::All)
}

#[derive(Debug, Clone, Copy)]
struct Held {
    thing: Thing,
    /// How many purges there were when it was asked for.
    asked: usize,
    /// Up to which purge everything has been compared while it was there.
    swept: usize,
    /// Whether it was found soft by then.
    softened: bool,
}

#[derive(Default)]
struct Model {
    purges: Vec<(What, Mode)>,
    held: HashMap<usize, Held>,
    underway: std::collections::VecDeque<(usize, Thing, usize)>,
    /// How many purges there were at the last sweep.
    swept: usize,
}

impl Model {
    fn meant(&self, key: usize, held: &Held, mode: Mode) -> bool {
        let by = |(number, (what, with)): (usize, &(What, Mode))| {
            let forgotten = number < self.swept && number >= held.swept && !is_direct(*what);
            *with == mode && (means(*what, key, held.thing) || forgotten)
        };
        self.purges.iter().enumerate().skip(held.asked).any(by)
    }

    fn put(&mut self, key: usize, thing: Thing, asked: usize) {
        let newer = self.held.get(&key).is_some_and(|known| known.asked > asked && !self.meant(key, known, Mode::Hard));
        if !newer {
            self.held.insert(key, Held { thing, asked, swept: 0, softened: false });
        }
    }
}

fn stored(thing: Thing, sequence: u64) -> Arc<Stored> {
    let names = TAGS.iter().zip(thing.tags).filter(|(_, has)| *has).map(|(tag, _)| Box::<str>::from(*tag)).collect();
    let marks = Arc::new(Marks::new(URLS[thing.url].into(), NAMESPACES[thing.namespace].into(), names));
    let admission = Admission { ttl: TTL, age: Duration::from_secs(AGES[thing.age]), ..Admission::default() };
    let (none, status) = (HeaderMap::new(), StatusCode::from_u16(STATUSES[thing.status]).unwrap());
    let head = Stored::new(admission, &none, status, &none, (marks, sequence), time::now()).unwrap();
    Arc::new(head.with(Content::Whole(Bytes::new())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_purged_is_gone_and_nothing_else(steps in prop::collection::vec(step(), 0..80)) {
        let cache = Cache::new(&Settings { shared: None, ..Settings::default() });
        let mut model = Model::default();
        let mut sequences = vec![cache.sequence()];
        for step in steps {
            match step {
                Step::Store(key, thing) => {
                    cache.insert(&key.to_string(), stored(thing, cache.sequence()), None);
                    model.put(key, thing, model.purges.len());
                }
                Step::Ask(key, thing) => model.underway.push_back((key, thing, model.purges.len())),
                Step::Come => {
                    if let Some((key, thing, asked)) = model.underway.pop_front() {
                        cache.insert(&key.to_string(), stored(thing, sequences[asked]), None);
                        model.put(key, thing, asked);
                    }
                }
                Step::Purge(what, mode) => {
                    cache.purge(&selection(what), mode);
                    model.purges.push((what, mode));
                    sequences.push(cache.sequence());
                }
                Step::Sweep => {
                    cache.sweep();
                    let purges = model.purges.len();
                    let there = |key: usize, held: &Held| !model.meant(key, held, Mode::Hard);
                    let mut held = model.held.clone();
                    held.retain(|key, held| there(*key, held));
                    for (key, held) in &mut held {
                        held.softened |= model.meant(*key, held, Mode::Soft);
                        held.swept = purges;
                    }
                    model.held = held;
                    model.swept = purges;
                }
                Step::Find(key, later) => {
                    let now = time::now() + Duration::from_secs(later);
                    let found = match cache.find(&key.to_string(), &HeaderMap::new(), now) {
                        Found::Stored(stored) => Some(stored),
                        Found::OtherVariants | Found::Nothing => None,
                    };
                    // What is stale and can be neither used nor validated is not found, either.
                    let useful = later < TTL.as_secs();
                    let held = model.held.get(&key).filter(|held| useful && !model.meant(key, held, Mode::Hard));
                    prop_assert_eq!(found.is_some(), held.is_some(), "{}", key);
                    let (Some(found), Some(held)) = (found, held) else { continue };
                    prop_assert_eq!(&*found.marks.url, URLS[held.thing.url]);
                    prop_assert_eq!(found.ttl(now).is_zero(), held.softened || model.meant(key, held, Mode::Soft));
                }
            }
        }
    }
}

#[test]
fn the_names_above_share_no_slot() {
    let names = URLS.iter().map(|name| ("url", *name)).chain(TAGS.iter().map(|name| ("tag", *name)));
    let names = names.chain(NAMESPACES.iter().map(|name| ("namespace", *name))).chain([("all", "")]);
    let slots: Vec<_> = names.map(|(kind, name)| slot(kind, name)).collect();
    assert_eq!(slots.iter().collect::<HashSet<_>>().len(), slots.len());
}

#[test]
fn what_was_on_its_way_while_conditions_were_forgotten_is_not_used() {
    let thing = Thing { url: 0, tags: [false; 3], namespace: 0, status: 0, age: 0 };
    let check = |mode, forget: fn(&Cache), there: bool, fresh: bool| {
        let cache = Cache::new(&Settings { shared: None, ..Settings::default() });
        let before = cache.sequence();
        cache.purge(&selection(What::Pattern(0)), mode);
        forget(&cache);
        cache.insert("0", stored(thing, before), None);
        let now = time::now();
        let found = match cache.find("0", &HeaderMap::new(), now) {
            Found::Stored(stored) => Some(stored),
            Found::OtherVariants | Found::Nothing => None,
        };
        assert_eq!((found.is_some(), found.is_some_and(|found| !found.ttl(now).is_zero())), (there, fresh), "{mode:?}");
    };
    let sweep = |cache: &Cache| {
        cache.sweep();
    };
    // As other instances tell of them: nobody sweeps.
    let storm = |cache: &Cache| {
        for number in 0..2000 {
            let pattern = Selection { pattern: Some(format!("https://{number}/*")), ..Selection::default() };
            cache.purges.add(&pattern, Mode::Soft, None);
        }
    };
    check(Mode::Hard, sweep, false, false);
    check(Mode::Soft, sweep, true, false);
    check(Mode::Hard, storm, false, false);
}

#[test]
fn a_purge_by_age_means_how_old_it_was_then() {
    let cache = Cache::new(&Settings { shared: None, ..Settings::default() });
    cache.insert("0", stored(Thing { url: 0, tags: [false; 3], namespace: 0, status: 0, age: 0 }, 0), None);
    cache.purge(&selection(What::Age(0)), Mode::Hard);
    let later = time::now() + Duration::from_secs(AGES_MIN[0] * 2);
    assert!(matches!(cache.find("0", &HeaderMap::new(), later), Found::Stored(_)));
}

#[test]
fn a_storm_of_purges_stalls_nobody_and_fills_no_memory() {
    let cache = Cache::new(&Settings { shared: None, ..Settings::default() });
    let thing = Thing { url: 2, tags: [true; 3], namespace: 0, status: 0, age: 0 };
    for number in 0..1000 {
        cache.insert(&number.to_string(), stored(thing, 0), None);
    }
    let storm = {
        let cache = cache.clone();
        std::thread::spawn(move || {
            for number in 0..20_000 {
                let url = Some(format!("http://a/{number}"));
                cache.purge(&Selection { url, ..Selection::default() }, Mode::Hard);
                if number % 10 == 0 {
                    let pattern = Some(format!("https://{number}/*"));
                    cache.purge(&Selection { pattern, ..Selection::default() }, Mode::Hard);
                }
            }
        })
    };
    // It may share its slot with something that is purged; whether it is found or not, that is known soon.
    let (mut looks, mut longest) = (0_u32, Duration::ZERO);
    while !storm.is_finished() {
        let started = time::now();
        let _ = cache.find(&(looks % 1000).to_string(), &HeaderMap::new(), started);
        longest = longest.max(time::now().saturating_duration_since(started));
        looks += 1;
    }
    storm.join().unwrap();
    assert!(looks > 0 && longest < Duration::from_secs(1), "{looks} {longest:?}");
    assert!(cache.purges.waiting() <= purges::CONDITIONS_WAITING_MAX);
}
