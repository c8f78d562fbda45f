//! The streams of a connection that are open: where they are, what state they are in, and how they are woken.
//!
//! A stream has a seat while it lives; seats and their wakers are used again. A waker marks its seat and wakes the connection's task, so
//! that only the streams that were woken are asked.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{HeaderMap, Response};

use super::inbox::Inbox;
use crate::http::Body;
use crate::time::Instant;

/// Streams that were closed by us are remembered, so that what the client had sent by then is not taken for a mistake.
const CLOSED_BY_US_MAX: usize = 256;
/// Gaps between the numbers of streams that are remembered.
const GAPS_MAX: usize = 16;

/// A response, or what will be one.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// One stream. Client's half: open until `ended`; ours: open until [`Work::Done`]. Both closed, it is removed.
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) work: Work,
    /// Whether the client has sent all.
    pub(super) ended: bool,
    /// The request body; none where there is none.
    pub(super) inbox: Option<Rc<Inbox>>,
    /// What Content-Length leaves to come.
    pub(super) left: Option<u64>,
    /// What the client may still send.
    pub(super) receive_window: i64,
    /// What was taken and not given back.
    pub(super) unreturned: u32,
    /// What we may send.
    pub(super) send_window: i64,
    /// Whether it stands in the queue of those that have something to send.
    pub(super) queued: bool,
    /// How much of a body that nobody wants is still let in, so that the client need not be cut off in the middle of it.
    pub(super) discard_left: u32,
    /// When the request last got on.
    pub(super) progress: Instant,
    /// Bytes that came since.
    pub(super) arrived: usize,
    /// Since when the response waits for the client's windows, and what was sent since.
    pub(super) blocked: Option<(Instant, usize)>,
    /// Whether a body may rest: what a tunnel or a stream of messages says, it says when it likes.
    pub(super) may_rest: bool,
}

/// What kind of request it is, as far as framing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Head,
    Connect,
}

/// States of our half: handling → (held →) sending → done.
pub(super) enum Work {
    Handling(Answer),
    /// Answered before the request was complete, and nobody wants the rest. It is let in first: clients are known (curl)
    /// that stop when they have an early response, and others that lose it when the stream is reset.
    Held(Box<Response<Body>>),
    Sending(Sending),
    Done,
}

/// A response body on its way.
pub(super) struct Sending {
    pub(super) body: Body,
    /// Taken from the body and not sent yet.
    pub(super) piece: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    /// Whether the body has nothing more.
    pub(super) exhausted: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(inbox) = &self.inbox {
            inbox.fail();
        }
    }
}

/// Which seats were woken.
pub(super) struct Woken {
    seats: Box<[AtomicU64]>,
    pub(super) task: AtomicWaker,
}

struct SeatWaker {
    woken: Arc<Woken>,
    seat: usize,
}

impl Wake for SeatWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.mark(self.seat);
        self.woken.task.wake();
    }
}

impl Woken {
    pub(super) fn mark(&self, seat: usize) {
        if let Some(word) = self.seats.get(seat / 64) {
            word.fetch_or(1 << (seat % 64), Ordering::AcqRel);
        }
    }

    /// Takes the marks of one word of 64 seats.
    pub(super) fn take(&self, word: usize) -> Option<u64> {
        self.seats.get(word).map(|word| word.swap(0, Ordering::AcqRel))
    }
}

/// All streams of a connection.
pub(super) struct Streams {
    /// By seat; 0 where it is free.
    ids: Vec<u32>,
    seats: Vec<Option<Stream>>,
    wakers: Vec<Waker>,
    free: Vec<usize>,
    open: usize,
    pub(super) woken: Arc<Woken>,
    /// The highest number the client has used.
    pub(super) last: u32,
    closed_by_us: VecDeque<u32>,
    gaps: VecDeque<(u32, u32)>,
}

/// What is known of a stream that is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It never was, and may come.
    Idle,
    /// It never was, and cannot come any more.
    Skipped,
    /// It was closed by both, or by the client.
    Closed,
    /// We closed it; the client may not know yet.
    ClosedByUs,
}

impl Streams {
    pub(super) fn new(max: u32) -> Self {
        let words = (max as usize).div_ceil(64).max(1);
        Self {
            ids: Vec::new(),
            seats: Vec::new(),
            wakers: Vec::new(),
            free: Vec::new(),
            open: 0,
            woken: Arc::new(Woken { seats: (0..words).map(|_| AtomicU64::new(0)).collect(), task: AtomicWaker::new() }),
            last: 0,
            closed_by_us: VecDeque::new(),
            gaps: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open
    }

    pub(super) fn find(&self, id: u32) -> Option<usize> {
        self.ids.iter().position(|other| *other == id)
    }

    pub(super) fn at(&mut self, seat: usize) -> Option<&mut Stream> {
        self.seats.get_mut(seat)?.as_mut()
    }

    /// A stream and how it is woken.
    pub(super) fn asked(&mut self, seat: usize) -> Option<(&mut Stream, &Waker)> {
        Some((self.seats.get_mut(seat)?.as_mut()?, self.wakers.get(seat)?))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Stream)> {
        self.seats.iter_mut().enumerate().filter_map(|(seat, stream)| Some((seat, stream.as_mut()?)))
    }

    /// A seat for a new stream, and its waker.
    pub(super) fn seat(&mut self) -> (usize, Waker) {
        let seat = self.free.pop().unwrap_or_else(|| {
            let seat = self.seats.len();
            self.ids.push(0);
            self.seats.push(None);
            self.wakers.push(Waker::from(Arc::new(SeatWaker { woken: Arc::clone(&self.woken), seat })));
            seat
        });
        let waker = self.wakers.get(seat).unwrap_or(Waker::noop()).clone();
        (seat, waker)
    }

    /// Puts a stream on the seat that was given for it; it is asked in this round.
    pub(super) fn open(&mut self, seat: usize, stream: Stream) {
        if let (Some(id), Some(place)) = (self.ids.get_mut(seat), self.seats.get_mut(seat)) {
            *id = stream.id;
            *place = Some(stream);
            self.open += 1;
            self.woken.mark(seat);
        }
    }

    /// Removes a stream.
    pub(super) fn close(&mut self, seat: usize) -> Option<Stream> {
        let stream = self.seats.get_mut(seat)?.take()?;
        if let Some(id) = self.ids.get_mut(seat) {
            *id = 0;
        }
        self.open -= 1;
        self.free.push(seat);
        Some(stream)
    }

    /// Notes the number of a new stream.
    pub(super) fn note(&mut self, id: u32) {
        if id > self.last + 2 {
            if self.gaps.len() >= GAPS_MAX {
                self.gaps.pop_front();
            }
            self.gaps.push_back((self.last + 1, id - 1));
        }
        self.last = id;
    }

    /// Notes that we closed a stream.
    pub(super) fn note_closed_by_us(&mut self, id: u32) {
        if self.closed_by_us.len() >= CLOSED_BY_US_MAX {
            self.closed_by_us.pop_front();
        }
        self.closed_by_us.push_back(id);
    }

    /// What became of a stream that is not open.
    pub(super) fn gone(&self, id: u32) -> Gone {
        if id > self.last || id.is_multiple_of(2) {
            return Gone::Idle;
        }
        if self.closed_by_us.contains(&id) {
            return Gone::ClosedByUs;
        }
        let skipped = self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&id));
        if skipped { Gone::Skipped } else { Gone::Closed }
    }
}
