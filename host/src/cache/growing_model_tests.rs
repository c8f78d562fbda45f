//! Growing bodies by chance: pieces, readers, troubles in any order, polled only when they are woken.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use proptest::prelude::*;

use super::growing::{AHEAD_BYTES_MAX, Growing};
use crate::http::{Body, BodyError};

/// Bodies up to this are kept.
const BYTES_MAX: u64 = 300 * 1024;
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The bytes of every body, from the beginning.
static PATTERN: LazyLock<Bytes> =
    LazyLock::new(|| (0..8 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect());

/// What an origin says, as far as it has said it.
#[derive(Default)]
struct Said {
    frames: VecDeque<Result<Frame<Bytes>, BodyError>>,
    ended: bool,
    waiting: Option<Waker>,
}

struct Origin(Arc<Mutex<Said>>);

impl http_body::Body for Origin {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut said = self.0.lock().unwrap();
        match said.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if said.ended => Poll::Ready(None),
            None => {
                said.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// That somebody has been woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn flag() -> Arc<Flag> {
    Arc::new(Flag(AtomicBool::new(true)))
}

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Piece(usize),
    /// The fetcher's turn, if it was woken.
    Fetch,
    Join,
    Read(usize),
    Leave(usize),
    Break,
    Trailers,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..=PIECE_BYTES_MAX).prop_map(Step::Piece),
        2 => (0_usize..3).prop_map(Step::Piece),
        9 => Just(Step::Fetch),
        2 => Just(Step::Join),
        9 => (0_usize..6).prop_map(Step::Read),
        1 => (0_usize..6).prop_map(Step::Leave),
        1 => Just(Step::End),
    ]
}

fn ending() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Step::Break), Just(Step::Trailers), Just(Step::End), Just(Step::End)]
}

struct Reading {
    body: Body,
    flag: Arc<Flag>,
    bytes: usize,
    trailers: bool,
    ended: Option<bool>,
}

type Fetching = Pin<Box<dyn Future<Output = Option<Bytes>>>>;

struct World {
    pattern: Bytes,
    /// How much the origin has said.
    sent: usize,
    /// How it ended: well or badly, with trailers or without.
    over: Option<(bool, bool)>,
    said: Arc<Mutex<Said>>,
    growing: Arc<Growing>,
    fetching: Option<Fetching>,
    fetched: Option<Option<Bytes>>,
    flag: Arc<Flag>,
    readers: Vec<Reading>,
}

impl World {
    fn new(declared: Option<u64>) -> Self {
        let said = Arc::<Mutex<Said>>::default();
        let growing = Growing::new(declared, BYTES_MAX);
        let (body, shared) = (Body::boxed(Origin(Arc::clone(&said))), Arc::clone(&growing));
        Self {
            pattern: PATTERN.clone(),
            sent: 0,
            over: None,
            said,
            growing,
            fetching: Some(Box::pin(async move { shared.fetch(body).await })),
            fetched: None,
            flag: flag(),
            readers: Vec::new(),
        }
    }

    fn say(&mut self, frame: Option<Result<Frame<Bytes>, BodyError>>) {
        let mut said = self.said.lock().unwrap();
        match frame {
            Some(frame) => said.frames.push_back(frame),
            None => said.ended = true,
        }
        if let Some(waiting) = said.waiting.take() {
            waiting.wake();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Piece(bytes) if self.over.is_none() => {
                let piece = self.pattern.slice(self.sent..self.sent + bytes);
                self.sent += bytes;
                self.say(Some(Ok(Frame::data(piece))));
            }
            Step::Break if self.over.is_none() => {
                self.over = Some((false, false));
                self.say(Some(Err(BodyError::Closed)));
            }
            Step::Trailers if self.over.is_none() => {
                self.over = Some((true, true));
                self.say(Some(Ok(Frame::trailers(HeaderMap::new()))));
                self.say(None);
            }
            Step::End if self.over.is_none() => {
                self.over = Some((true, false));
                self.say(None);
            }
            Step::Piece(_) | Step::Break | Step::Trailers | Step::End => {}
            Step::Fetch => self.fetch(),
            Step::Join => {
                let body = self.growing.follow();
                self.readers.push(Reading { body, flag: flag(), bytes: 0, trailers: false, ended: None });
            }
            Step::Read(number) => self.read(*number),
            Step::Leave(number) if *number < self.readers.len() => drop(self.readers.remove(*number)),
            Step::Leave(_) => {}
        }
        // One piece may go beyond either limit.
        let most = BYTES_MAX.max(AHEAD_BYTES_MAX) + PIECE_BYTES_MAX as u64;
        assert!(self.growing.held_bytes() <= most, "{} bytes", self.growing.held_bytes());
    }

    fn fetch(&mut self) {
        if !self.flag.0.swap(false, Ordering::SeqCst) {
            return;
        }
        let waker = Waker::from(Arc::clone(&self.flag));
        let polled = self.fetching.as_mut().map(|fetching| fetching.as_mut().poll(&mut Context::from_waker(&waker)));
        if let Some(Poll::Ready(fetched)) = polled {
            self.fetched = Some(fetched);
            self.fetching = None;
            // As its task does when it ends.
            self.growing.abandon();
        }
    }

    fn read(&mut self, number: usize) {
        let Some(reader) = self.readers.get_mut(number).filter(|reader| reader.ended.is_none()) else { return };
        if !reader.flag.0.swap(false, Ordering::SeqCst) {
            return;
        }
        let waker = Waker::from(Arc::clone(&reader.flag));
        match Pin::new(&mut reader.body).poll_frame(&mut Context::from_waker(&waker)) {
            Poll::Pending => return,
            Poll::Ready(None) => reader.ended = Some(true),
            Poll::Ready(Some(Err(_))) => reader.ended = Some(false),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    assert_eq!(data, self.pattern.slice(reader.bytes..reader.bytes + data.len()), "other bytes");
                    assert!(!reader.trailers && !data.is_empty());
                    reader.bytes += data.len();
                }
                Err(_) => assert!(!std::mem::replace(&mut reader.trailers, true), "trailers twice"),
            },
        }
        reader.flag.0.store(true, Ordering::SeqCst);
    }

    /// Everybody goes on as long as somebody is woken.
    fn settle(&mut self) {
        loop {
            let before = (self.awake(), self.progress());
            self.fetch();
            (0..self.readers.len()).for_each(|number| self.read(number));
            if !self.awake() && !before.0 && before.1 == self.progress() {
                return;
            }
        }
    }

    fn awake(&self) -> bool {
        let reading = |reader: &Reading| reader.ended.is_none() && reader.flag.0.load(Ordering::SeqCst);
        self.fetching.is_some() && self.flag.0.load(Ordering::SeqCst) || self.readers.iter().any(reading)
    }

    fn progress(&self) -> usize {
        self.readers.iter().map(|reader| reader.bytes).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_reads_all_or_an_error(
        steps in prop::collection::vec(step(), 0..120),
        ending in ending(),
        lie in prop::option::weighted(0.2, 0_u64..1000),
    ) {
        // What is announced is most often nothing; a lie is noticed at the end.
        let mut world = World::new(lie);
        world.step(&Step::Join);
        steps.iter().for_each(|step| world.step(step));
        world.step(&ending);
        let early = world.readers.len();
        world.settle();
        let (well, trailers) = world.over.unwrap();
        let whole = lie.is_none_or(|lie| lie == world.sent as u64);
        let long = world.sent as u64 > BYTES_MAX;
        prop_assert!(world.fetching.is_none(), "the fetcher hangs");
        if let Some(Some(fetched)) = &world.fetched {
            prop_assert!(well && whole && !long && !trailers);
            prop_assert_eq!(fetched, &world.pattern.slice(..world.sent));
        } else {
            prop_assert!(!well || !whole || long || trailers, "not kept");
        }
        for reader in &world.readers[..early] {
            match reader.ended {
                Some(true) => prop_assert!(well && whole && reader.bytes == world.sent && reader.trailers == trailers),
                // Who came too late reads nothing at all.
                Some(false) => prop_assert!(!well || !whole || long && reader.bytes == 0, "{} of {}", reader.bytes, world.sent),
                None => prop_assert!(false, "a reader hangs"),
            }
        }
    }
}

#[test]
fn nothing_is_fetched_that_nobody_wants() {
    let mut world = World::new(None);
    world.step(&Step::Join);
    for _ in 0..5 {
        world.step(&Step::Piece(PIECE_BYTES_MAX));
        world.settle();
    }
    assert!(world.fetching.is_some());
    // Too long to be kept, and the origin stalls: who leaves ends it.
    world.step(&Step::Leave(0));
    world.settle();
    assert_eq!(world.fetched, Some(None));
}

#[test]
fn who_joins_too_late_holds_nobody_up() {
    let mut world = World::new(None);
    world.step(&Step::Join);
    for _ in 0..10 {
        world.step(&Step::Piece(PIECE_BYTES_MAX));
        world.settle();
    }
    world.step(&Step::Join);
    for _ in 0..10 {
        world.step(&Step::Piece(PIECE_BYTES_MAX));
        world.settle();
    }
    world.step(&Step::End);
    world.settle();
    let ends: Vec<_> = world.readers.iter().map(|reader| (reader.ended, reader.bytes)).collect();
    assert_eq!(ends, [(Some(true), 20 * PIECE_BYTES_MAX), (Some(false), 0)]);
}

#[test]
fn a_body_that_comes_byte_by_byte_takes_little_more_than_its_bytes() {
    let mut world = World::new(None);
    for _ in 0..100_000 {
        world.step(&Step::Piece(1));
        world.step(&Step::Piece(0));
    }
    world.settle();
    assert!(world.growing.pieces() <= 100_000 / 256, "{}", world.growing.pieces());
    // Nor does a reader that asks again and again.
    world.step(&Step::Join);
    world.settle();
    for _ in 0..1000 {
        world.readers[0].flag.0.store(true, Ordering::SeqCst);
        world.read(0);
    }
    assert!(Arc::strong_count(&world.readers[0].flag) <= 3, "a reader is remembered more than once");
}
