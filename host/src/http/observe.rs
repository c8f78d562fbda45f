//! Tells once how a body ended: after its last byte, or because nobody wanted the rest or it broke off.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::{Body, BodyError};

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyEnd {
    /// Data bytes that were handed on.
    pub bytes: u64,
    /// Whether that was all.
    pub outcome: BodyOutcome,
}

/// Whether a body came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyOutcome {
    /// Everything was handed on.
    Complete,
    /// It failed, or the reader went away (also: never asked, as for a body that comes with an answer to HEAD).
    Incomplete,
}

impl Body {
    /// This body, calling `told` exactly once: when the end was handed on, or when the body is dropped.
    ///
    /// It is called from within the connection's work, possibly before the last bytes are written out; what takes time
    /// belongs into a task of its own.
    pub fn observed(self, told: impl FnOnce(BodyEnd) + 'static) -> Self {
        Self::Observed(Box::new(Observed { body: self, bytes: 0, told: Some(Box::new(told)) }))
    }
}

/// A body whose end is told.
pub struct Observed {
    body: Body,
    bytes: u64,
    told: Option<Box<dyn FnOnce(BodyEnd)>>,
}

impl Observed {
    /// What is left of it.
    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// See [`Body::file_sent`].
    pub(super) fn file_sent(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.body.file_sent(bytes);
        if self.body.file().is_some_and(|piece| piece.length() == 0) {
            self.tell(BodyOutcome::Complete);
        }
    }

    /// See [`http_body::Body::poll_frame`].
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Poll::Ready(Some(Err(_))) => self.tell(BodyOutcome::Incomplete),
            Poll::Ready(None) => self.tell(BodyOutcome::Complete),
            Poll::Pending => {}
        }
        polled
    }

    fn tell(&mut self, outcome: BodyOutcome) {
        if let Some(told) = self.told.take() {
            told(BodyEnd { bytes: self.bytes, outcome });
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // A reader that knows from `is_end_stream` that nothing follows does not ask again.
        let outcome = if self.body.is_end_stream() { BodyOutcome::Complete } else { BodyOutcome::Incomplete };
        self.tell(outcome);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::http::FilePiece;
    use crate::http::test_bodies::{chunks, collect, failing};

    /// Reads the body with `read` and gives everything that was told.
    fn told(body: Body, read: impl FnOnce(Body)) -> Vec<BodyEnd> {
        let ends = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&ends);
        read(body.observed(move |end| kept.borrow_mut().push(end)));
        ends.take()
    }

    #[test]
    fn every_end_is_told_once() {
        let complete = |bytes| vec![BodyEnd { bytes, outcome: BodyOutcome::Complete }];
        let incomplete = |bytes| vec![BodyEnd { bytes, outcome: BodyOutcome::Incomplete }];
        let read_all = |body| drop(collect(body));
        assert_eq!(told(chunks(&["12", "345"]), read_all), complete(5));
        assert_eq!(told(Bytes::from_static(b"12").into(), read_all), complete(2));
        assert_eq!(told(Body::Empty, drop), complete(0));
        assert_eq!(told(chunks(&["12", "345"]), drop), incomplete(0));
        assert_eq!(told(failing(), read_all), incomplete(1));
        // hyper stops asking once `is_end_stream` says so.
        let read_one = |mut body: Body| {
            let _ = Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        };
        assert_eq!(told(Bytes::from_static(b"12").into(), read_one), complete(2));
        // A file that the kernel sends is not read at all.
        let file = || Body::File(FilePiece::new(tempfile::tempfile().unwrap().into(), 0, 7));
        assert_eq!(told(file(), |mut body| [3, 4].into_iter().for_each(|sent| body.file_sent(sent))), complete(7));
        assert_eq!(told(file(), |mut body| body.file_sent(3)), incomplete(3));
    }
}
