//! A request body on its way from the connection to the handler.
//!
//! The connection puts in what arrives, the body takes it out, and what was taken out is given back to the client's
//! windows. What waits is bounded by those windows; many small frames are kept in one piece.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::http::BodyError;

/// Longest piece that is handed on at once.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// What the connection and the body share.
pub(super) struct Inbox {
    data: RefCell<BytesMut>,
    trailers: RefCell<Option<HeaderMap>>,
    state: Cell<State>,
    /// Who waits for more.
    reader: RefCell<Option<Waker>>,
    /// Wakes the connection to give back what was taken.
    owner: Waker,
    /// Bytes that were taken and not given back yet.
    taken: Cell<usize>,
    /// How much is still to come, where the client said so.
    left: Cell<Option<u64>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed,
    /// Nobody wants it any more.
    Unwanted,
}

impl Inbox {
    pub(super) fn new(owner: Waker, left: Option<u64>) -> Rc<Self> {
        Rc::new(Self {
            data: RefCell::default(),
            trailers: RefCell::default(),
            state: Cell::new(State::Open),
            reader: RefCell::default(),
            owner,
            taken: Cell::new(0),
            left: Cell::new(left),
        })
    }

    /// Adds what arrived. What nobody wants is taken at once.
    pub(super) fn put(&self, data: &[u8]) {
        match self.state.get() {
            State::Open => {
                self.data.borrow_mut().extend_from_slice(data);
                self.wake();
            }
            _ => self.taken.set(self.taken.get() + data.len()),
        }
    }

    /// Ends the body.
    pub(super) fn end(&self, trailers: Option<HeaderMap>) {
        if self.state.get() == State::Open {
            *self.trailers.borrow_mut() = trailers;
            self.state.set(State::Ended);
            self.wake();
        }
    }

    /// Breaks it off.
    pub(super) fn fail(&self) {
        if self.state.get() == State::Open {
            self.state.set(State::Failed);
            self.wake();
        }
    }

    /// Whether nobody wants the body any more.
    pub(super) fn unwanted(&self) -> bool {
        self.state.get() == State::Unwanted
    }

    /// What was taken since the last call.
    pub(super) fn settle(&self) -> usize {
        self.taken.take()
    }

    /// What waits to be taken.
    pub(super) fn waiting(&self) -> usize {
        self.data.borrow().len()
    }

    fn wake(&self) {
        let reader = self.reader.borrow_mut().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The body as the handler sees it.
pub(super) struct Arriving(pub(super) Rc<Inbox>);

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let inbox = &*self.0;
        let mut data = inbox.data.borrow_mut();
        if !data.is_empty() {
            let length = data.len().min(PIECE_BYTES_MAX);
            let piece = data.split_to(length).freeze();
            inbox.taken.set(inbox.taken.get() + length);
            inbox.left.set(inbox.left.get().map(|left| left.saturating_sub(length as u64)));
            inbox.owner.wake_by_ref();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match inbox.state.get() {
            State::Open => {
                *inbox.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Ended => {
                Poll::Ready(inbox.trailers.borrow_mut().take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            State::Failed | State::Unwanted => Poll::Ready(Some(Err(BodyError::Closed))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let inbox = &*self.0;
        inbox.state.get() == State::Ended && inbox.data.borrow().is_empty() && inbox.trailers.borrow().is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.left.get().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let inbox = &*self.0;
        inbox.state.set(State::Unwanted);
        let dropped = std::mem::take(&mut *inbox.data.borrow_mut()).len();
        inbox.taken.set(inbox.taken.get() + dropped);
        inbox.owner.wake_by_ref();
    }
}
