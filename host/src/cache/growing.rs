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
const AHEAD_BYTES_MAX: u64 = 256 * 1024;

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
    pieces: VecDeque<Bytes>,
    /// How many pieces have gone from the front.
    gone: usize,
    bytes: u64,
    trailers: Option<HeaderMap>,
    end: Option<End>,
    /// Whether it is too long to be kept.
    overflown: bool,
    /// Where each reader is, by its number.
    readers: Vec<(u64, usize)>,
    next_reader: u64,
    waiting: Vec<Waker>,
    /// Who fetches, while it waits for readers.
    fetcher: Option<Waker>,
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

    /// A reader from the beginning.
    pub(super) fn follow(self: &Arc<Self>) -> Body {
        let mut state = self.state();
        let number = state.next_reader;
        state.next_reader += 1;
        state.readers.push((number, 0));
        drop(state);
        Body::boxed(Reader { growing: Arc::clone(self), number, read: 0 })
    }

    /// Fetches all of `body`. Gives it whole if it is to be kept: complete, as long as announced, not too long, without trailers.
    pub(super) async fn fetch(self: &Arc<Self>, mut body: Body) -> Option<Bytes> {
        loop {
            std::future::poll_fn(|cx| self.poll_room(cx)).await.then_some(())?;
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
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
            state.waiting.drain(..).for_each(Waker::wake);
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
        let ahead: u64 = state.pieces.iter().map(|piece| piece.len() as u64).sum();
        if ahead < AHEAD_BYTES_MAX {
            return Poll::Ready(true);
        }
        state.fetcher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nothing more will come, whatever has come.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.end.get_or_insert(End::Broken);
        state.waiting.drain(..).for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, data: Bytes, bytes_max: u64) {
        self.bytes += data.len() as u64;
        self.pieces.push_back(data);
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
        let slowest = self.readers.iter().map(|(_, read)| *read).min().unwrap_or(usize::MAX);
        while self.gone < slowest && self.pieces.pop_front().is_some() {
            self.gone += 1;
        }
        if let Some(fetcher) = self.fetcher.take() {
            fetcher.wake();
        }
    }

    /// One piece of memory: what came may be parts of larger buffers.
    fn whole(&self) -> Bytes {
        let mut whole = BytesMut::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }
}

struct Reader {
    growing: Arc<Growing>,
    number: u64,
    read: usize,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut state = this.growing.state();
        if let Some(piece) = this.read.checked_sub(state.gone).and_then(|at| state.pieces.get(at)).cloned() {
            this.read += 1;
            if let Some((_, read)) = state.readers.iter_mut().find(|(number, _)| *number == this.number) {
                *read = this.read;
            }
            state.forget_read();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match state.end {
            Some(End::Complete) => {
                // Trailers come once, after the last piece.
                this.read += 1;
                let trailers = state.trailers.clone().filter(|_| this.read == state.gone + state.pieces.len() + 1);
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Some(End::Broken) => Poll::Ready(Some(Err(BodyError::Closed))),
            None => {
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.growing.state();
        state.end == Some(End::Complete) && state.trailers.is_none() && self.read >= state.gone + state.pieces.len()
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
        state.readers.retain(|(number, _)| *number != self.number);
        state.forget_read();
    }
}
