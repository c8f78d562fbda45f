//! A body that is stored while it goes by: one task fetches it, whoever wants it follows.
//!
//! What is fetched stays until the end, so that a reader who comes late reads all of it. A body that turns out to be longer than what is
//! stored is no longer kept: nobody can join then, and the fetching waits for the slowest reader.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use crate::http::{Body, BodyError};

/// Of a body that is not kept, most bytes that wait for the slowest reader.
pub(super) const AHEAD_BYTES_MAX: u64 = 256 * 1024;

/// Smaller pieces are put together, so that a body that comes byte by byte does not take many times its length.
const PIECE_BYTES_MIN: usize = 512;

/// A body on its way.
#[derive(Debug)]
pub(super) struct Growing {
    /// Its length, where it is announced.
    declared: Option<u64>,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is there, and where each piece begins.
    pieces: VecDeque<(u64, Bytes)>,
    /// Where the last of them ends.
    bytes: u64,
    trailers: Option<HeaderMap>,
    end: Option<End>,
    /// Whether it is too long to be kept.
    overflown: bool,
    readers: Vec<Place>,
    next_reader: u64,
    /// Who fetches, while readers can tell it to go on or to stop.
    fetcher: Option<Waker>,
}

/// Where a reader is.
#[derive(Debug)]
struct Place {
    number: u64,
    read: u64,
    /// It, while it waits. One for each, however often it asks: a body that stalls must not fill the memory.
    waiting: Option<Waker>,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

impl Growing {
    pub(super) fn new(declared: Option<u64>, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { declared, bytes_max, state: Mutex::default() })
    }

    /// What it will take, as far as is known.
    pub(super) fn expected_bytes(&self) -> usize {
        usize::try_from(self.declared.unwrap_or(64 * 1024)).unwrap_or(usize::MAX)
    }

    /// Whether all of it can still be read from the beginning.
    pub(super) fn can_be_joined(&self) -> bool {
        let state = self.state();
        !state.overflown && state.end != Some(End::Broken)
    }

    /// A reader from the beginning. Where that has gone meanwhile, it reads an error, and nobody waits for it.
    pub(super) fn follow(self: &Arc<Self>) -> Body {
        let mut state = self.state();
        let number = state.next_reader;
        state.next_reader += 1;
        if state.first() == 0 {
            state.readers.push(Place { number, read: 0, waiting: None });
        }
        drop(state);
        Body::boxed(Reader { growing: Arc::clone(self), number, read: 0, has_trailers: false })
    }

    /// Fetches all of `body`. Gives it whole if it is to be kept: complete, as long as announced, not too long, without trailers.
    pub(super) async fn fetch(self: &Arc<Self>, mut body: Body) -> Option<Bytes> {
        loop {
            // Nobody waits for what nobody wants, even if nothing comes.
            let frame = std::future::poll_fn(|cx| match self.poll_room(cx) {
                Poll::Ready(true) => Pin::new(&mut body).poll_frame(cx).map(Some),
                Poll::Ready(false) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            let frame = frame.await?;
            let mut state = self.state();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => state.add(data, self.bytes_max),
                Some(Ok(Err(frame))) => state.trailers = frame.into_trailers().ok(),
                Some(Err(_)) => state.end = Some(End::Broken),
                None => {
                    let whole = self.declared.is_none_or(|declared| declared == state.bytes);
                    state.end = Some(if whole { End::Complete } else { End::Broken });
                }
            }
            state.wake_readers();
            match state.end {
                None => {}
                Some(End::Complete) if !state.overflown && state.trailers.is_none() => return Some(state.whole()),
                Some(_) => return None,
            }
        }
    }

    /// Ready with true when the next piece may be fetched, with false when nobody wants it any more.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if !state.overflown {
            return Poll::Ready(true);
        }
        if state.readers.is_empty() {
            return Poll::Ready(false);
        }
        state.fetcher = Some(cx.waker().clone());
        if state.bytes - state.first() < AHEAD_BYTES_MAX { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Nothing more will come, whatever has come.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.end.get_or_insert(End::Broken);
        state.wake_readers();
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> u64 {
        let state = self.state();
        state.bytes - state.first()
    }

    /// In how many pieces.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.state().pieces.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Where what is there begins.
    fn first(&self) -> u64 {
        self.pieces.front().map_or(self.bytes, |(start, _)| *start)
    }

    /// What is there from somewhere on, as far as it is in one piece.
    fn from(&self, at: u64) -> Option<Bytes> {
        let next = self.pieces.partition_point(|(start, _)| *start <= at);
        let (start, piece) = self.pieces.get(next.checked_sub(1)?)?;
        let offset = usize::try_from(at - start).ok().filter(|offset| *offset < piece.len())?;
        Some(piece.slice(offset..))
    }

    fn add(&mut self, data: Bytes, bytes_max: u64) {
        if data.is_empty() {
            return;
        }
        let start = self.bytes;
        self.bytes += data.len() as u64;
        match self.pieces.back_mut() {
            Some((_, last)) if last.len() + data.len() <= PIECE_BYTES_MIN => {
                let mut both = BytesMut::with_capacity(last.len() + data.len());
                both.extend_from_slice(last);
                both.extend_from_slice(&data);
                *last = both.freeze();
            }
            _ => self.pieces.push_back((start, data)),
        }
        if self.bytes > bytes_max {
            self.overflown = true;
            self.forget_read();
        }
    }

    /// Of a body that is not kept, drops what everybody has read.
    fn forget_read(&mut self) {
        if !self.overflown {
            return;
        }
        let slowest = self.readers.iter().map(|place| place.read).min().unwrap_or(u64::MAX);
        while self.pieces.front().is_some_and(|(start, piece)| start + piece.len() as u64 <= slowest) {
            self.pieces.pop_front();
        }
        if let Some(fetcher) = self.fetcher.take() {
            fetcher.wake();
        }
    }

    /// One piece of memory: what came may be parts of larger buffers.
    fn whole(&self) -> Bytes {
        let mut whole = BytesMut::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        for (_, piece) in &self.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }

    fn wake_readers(&mut self) {
        self.readers.iter_mut().filter_map(|place| place.waiting.take()).for_each(Waker::wake);
    }
}

struct Reader {
    growing: Arc<Growing>,
    number: u64,
    read: u64,
    /// Whether it was given the trailers.
    has_trailers: bool,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut state = this.growing.state();
        if this.read < state.first() {
            return Poll::Ready(Some(Err(BodyError::Closed)));
        }
        if let Some(piece) = state.from(this.read) {
            this.read += piece.len() as u64;
            if let Some(place) = state.readers.iter_mut().find(|place| place.number == this.number) {
                place.read = this.read;
            }
            state.forget_read();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match state.end {
            Some(End::Complete) => {
                // Trailers come once, after the last piece.
                let trailers = state.trailers.clone().filter(|_| !std::mem::replace(&mut this.has_trailers, true));
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Some(End::Broken) => Poll::Ready(Some(Err(BodyError::Closed))),
            None => {
                if let Some(place) = state.readers.iter_mut().find(|place| place.number == this.number) {
                    place.waiting = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.growing.state();
        state.end == Some(End::Complete) && (state.trailers.is_none() || self.has_trailers) && self.read == state.bytes
    }

    fn size_hint(&self) -> SizeHint {
        match self.growing.declared {
            Some(declared) if self.read == 0 => SizeHint::with_exact(declared),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.growing.state();
        state.readers.retain(|place| place.number != self.number);
        state.forget_read();
    }
}
