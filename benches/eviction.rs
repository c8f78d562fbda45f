//! Which responses a full cache keeps: the hit rate of the memory cache's eviction (moka: TinyLFU) beside that of a plain LRU.
//!
//! Scenario: requests drawn from a Zipf distribution over 100 000 keys, sizes log-normal and independent of popularity, a cache that
//! holds a part of all bytes; and the same while a crawler asks once for each of 100 000 other keys. Every run draws the same.
//! Counts, not times: any machine and any build gives these figures.

#![allow(clippy::indexing_slicing, reason = "a bench that is wrong says so and ends")]

use std::hash::{BuildHasher, Hasher};

use moka::sync::Cache;

/// Keys that are asked for again and again; a crawler asks for as many others.
const KEYS: usize = 100_000;
/// Requests that fill the cache before hits are counted.
const WARM: usize = 400_000;
/// Requests that are counted.
const COUNTED: usize = 600_000;
/// The memory cache's `object_bytes_max`.
const OBJECT_BYTES_MAX: f64 = 8.0 * 1024.0 * 1024.0;
/// Half of all objects are smaller.
const SIZE_MEDIAN: f64 = 12.0 * 1024.0;
/// With this one in a hundred is larger than half a megabyte.
const SIZE_SIGMA: f64 = 1.6;
/// What an entry weighs besides its body: key, head, tags.
const OVERHEAD: f64 = 500.0;

/// A generator of numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to 1, without either.
    fn fraction(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Makes moka's choices the same in every run.
#[derive(Clone, Default)]
struct Seeded;

struct Mixing(u64);

impl BuildHasher for Seeded {
    type Hasher = Mixing;

    fn build_hasher(&self) -> Mixing {
        Mixing(0x5eed)
    }
}

impl Hasher for Mixing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = mix(self.0 ^ u64::from(number));
    }
}

/// Which keys are asked for: the one of rank `r` in proportion to `1 / r^s`. Which key has which rank is chance.
struct Zipf {
    sums: Vec<f64>,
    ranked: Vec<u32>,
}

impl Zipf {
    fn new(s: f64, dice: &mut Dice) -> Self {
        let mut sum = 0.0;
        let mut next = |rank: usize| {
            sum += (rank as f64).powf(-s);
            sum
        };
        let sums = (1..=KEYS).map(&mut next).collect();
        let mut ranked: Vec<u32> = (0..KEYS as u32).collect();
        for place in (1..KEYS).rev() {
            ranked.swap(place, (dice.next() % (place as u64 + 1)) as usize);
        }
        Self { sums, ranked }
    }

    fn draw(&self, dice: &mut Dice) -> u32 {
        let point = dice.fraction() * self.sums[KEYS - 1];
        self.ranked[self.sums.partition_point(|sum| *sum < point).min(KEYS - 1)]
    }
}

/// What every key's response weighs, the crawler's included.
fn sizes(dice: &mut Dice) -> Vec<u32> {
    let mut size = |_| {
        // Box and Muller: two even draws are one normal one.
        let normal = (-2.0 * dice.fraction().ln()).sqrt() * (std::f64::consts::TAU * dice.fraction()).cos();
        ((SIZE_MEDIAN * (SIZE_SIGMA * normal).exp()).min(OBJECT_BYTES_MAX) + OVERHEAD) as u32
    };
    (0..2 * KEYS).map(&mut size).collect()
}

/// A cache that is asked for a key and, if it has it not, is given it.
trait Keep {
    /// Whether it had it.
    fn ask(&mut self, key: u32, size: u32) -> bool;
}

/// The memory cache: the settings of `host/src/cache`, without expiry.
struct Ours(Cache<u32, u32, Seeded>);

impl Ours {
    fn new(bytes_max: u64) -> Self {
        let cache = Cache::builder().max_capacity(bytes_max).weigher(|_: &u32, size: &u32| *size);
        Self(cache.build_with_hasher(Seeded))
    }
}

impl Keep for Ours {
    fn ask(&mut self, key: u32, size: u32) -> bool {
        let hit = self.0.get(&key).is_some();
        if !hit {
            self.0.insert(key, size);
        }
        // It would wait for a number of requests or for some time to pass; of time nothing here may depend.
        self.0.run_pending_tasks();
        hit
    }
}

/// A plain LRU: what was asked for longest ago goes first. A ring of keys, from the newest to the oldest.
struct Lru {
    bytes_max: u64,
    bytes: u64,
    /// What each weighs; zero if it is not in the cache.
    sizes: Vec<u32>,
    newer: Vec<u32>,
    older: Vec<u32>,
}

impl Lru {
    /// Where the ring begins and ends.
    const ENDS: usize = 2 * KEYS;

    fn new(bytes_max: u64) -> Self {
        let ring = vec![Self::ENDS as u32; Self::ENDS + 1];
        Self { bytes_max, bytes: 0, sizes: vec![0; Self::ENDS], newer: ring.clone(), older: ring }
    }

    fn take_out(&mut self, key: usize) {
        let (newer, older) = (self.newer[key], self.older[key]);
        self.older[newer as usize] = older;
        self.newer[older as usize] = newer;
    }

    fn put_first(&mut self, key: usize) {
        let second = self.older[Self::ENDS];
        (self.newer[key], self.older[key]) = (Self::ENDS as u32, second);
        self.newer[second as usize] = key as u32;
        self.older[Self::ENDS] = key as u32;
    }
}

impl Keep for Lru {
    fn ask(&mut self, key: u32, size: u32) -> bool {
        let key = key as usize;
        let hit = self.sizes[key] > 0;
        if hit {
            self.take_out(key);
        } else {
            self.sizes[key] = size;
            self.bytes += u64::from(size);
        }
        self.put_first(key);
        while self.bytes > self.bytes_max {
            let last = self.newer[Self::ENDS] as usize;
            self.take_out(last);
            self.bytes -= u64::from(std::mem::take(&mut self.sizes[last]));
        }
        hit
    }
}

/// What was asked for, and what of it was there.
#[derive(Default)]
struct Tally {
    requests: u64,
    hits: u64,
    bytes: u64,
    bytes_hit: u64,
}

impl Tally {
    fn count(&mut self, hit: bool, size: u32) {
        self.requests += 1;
        self.bytes += u64::from(size);
        if hit {
            self.hits += 1;
            self.bytes_hit += u64::from(size);
        }
    }

    /// Hits among requests and among bytes, in percent.
    fn percents(&self) -> (f64, f64) {
        let percent = |part: u64, of: u64| 100.0 * part as f64 / of as f64;
        (percent(self.hits, self.requests), percent(self.bytes_hit, self.bytes))
    }
}

/// What is asked for, in order. Keys from [`KEYS`] on are the crawler's; their requests are not counted.
fn replay(trace: &[u32], sizes: &[u32], cache: &mut impl Keep) -> Tally {
    let mut tally = Tally::default();
    for (number, &key) in trace.iter().enumerate() {
        let size = sizes[key as usize];
        let hit = cache.ask(key, size);
        if number >= WARM && (key as usize) < KEYS {
            tally.count(hit, size);
        }
    }
    tally
}

fn plain(s: f64) -> Vec<u32> {
    let mut dice = Dice(7);
    let zipf = Zipf::new(s, &mut dice);
    (0..WARM + COUNTED).map(|_| zipf.draw(&mut dice)).collect()
}

/// The same with a crawler, from the end of the warming on: every other request is its, until it has seen all.
fn crawled(s: f64) -> Vec<u32> {
    let (warm, counted) = {
        let mut trace = plain(s);
        let counted = trace.split_off(WARM);
        (trace, counted)
    };
    let mut trace = warm;
    for (number, key) in counted.into_iter().enumerate() {
        trace.push(key);
        if number < KEYS {
            trace.push((KEYS + number) as u32);
        }
    }
    trace
}

fn main() {
    let sizes = sizes(&mut Dice(1));
    let bytes: u64 = sizes[..KEYS].iter().copied().map(u64::from).sum();
    println!(
        "{KEYS} keys, {} MB; {WARM} requests to warm, {COUNTED} counted; hits in percent of requests (of bytes)\n",
        bytes / 1_000_000
    );
    println!("| trace | cache | plain LRU | ours | difference |");
    println!("|---|---:|---:|---:|---:|");
    let row = |name: &str, trace: &[u32], percent: u64| {
        let bytes_max = bytes * percent / 100;
        let (lru, lru_bytes) = replay(trace, &sizes, &mut Lru::new(bytes_max)).percents();
        let (ours, ours_bytes) = replay(trace, &sizes, &mut Ours::new(bytes_max)).percents();
        println!(
            "| {name} | {percent} % | {lru:.1} ({lru_bytes:.1}) | {ours:.1} ({ours_bytes:.1}) | {:+.1} ({:+.1}) |",
            ours - lru,
            ours_bytes - lru_bytes
        );
    };
    for s in [0.7, 0.9, 1.1] {
        let trace = plain(s);
        for percent in [1, 5, 10] {
            row(&format!("Zipf {s}"), &trace, percent);
        }
    }
    let trace = crawled(0.9);
    for percent in [1, 5, 10] {
        row("Zipf 0.9 with a crawler", &trace, percent);
    }
}
