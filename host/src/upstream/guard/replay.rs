//! A request body that can be sent once more: what passes is kept, up to a limit, while it passes.
//!
//! Nothing waits for a body to be complete. Once it is longer than the limit, what was kept is let go, and the body can no longer be
//! sent again.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::{Body, BodyError};

/// What is kept of a body, and the rest of it.
pub(in crate::upstream) struct Replay(RefCell<Kept>);

struct Kept {
    /// What has not been read yet.
    rest: Body,
    /// What has, while it is within the limit.
    pieces: Vec<Bytes>,
    trailers: Option<::http::HeaderMap>,
    bytes: usize,
    bytes_max: usize,
    lost: bool,
    ended: bool,
    /// Which of those that read it may: the last.
    reader: u32,
}

impl Replay {
    /// Keeps so much of a body.
    pub(in crate::upstream) fn new(body: Body, bytes_max: usize) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Kept {
            rest: body,
            pieces: Vec::new(),
            trailers: None,
            bytes: 0,
            bytes_max,
            lost: false,
            ended: false,
            reader: 0,
        })))
    }

    /// The body from its beginning; none where some of it is gone.
    pub(in crate::upstream) fn body(self: &Rc<Self>) -> Option<Body> {
        let mut kept = self.0.borrow_mut();
        kept.reader += 1;
        let (reader, replay) = (kept.reader, Rc::clone(self));
        (!kept.lost).then(|| Body::boxed(Replayed { replay, reader, next: 0, trailed: false }))
    }
}

/// The body, read once more.
struct Replayed {
    replay: Rc<Replay>,
    reader: u32,
    /// Which of the pieces is next.
    next: usize,
    trailed: bool,
}

impl http_body::Body for Replayed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let replay = Rc::clone(&self.replay);
        let mut kept = replay.0.borrow_mut();
        if kept.reader != self.reader {
            // It is being sent anew; what still reads for the last time must not take anything away.
            return Poll::Ready(Some(Err(BodyError::Closed)));
        }
        if let Some(piece) = kept.pieces.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if let Some(trailers) = kept.trailers.clone().filter(|_| !self.trailed) {
            self.trailed = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if kept.ended {
            return Poll::Ready(None);
        }
        let read = ready!(Pin::new(&mut kept.rest).poll_frame(cx));
        kept.ended = read.is_none();
        if let Some(Ok(frame)) = &read {
            if let Some(data) = frame.data_ref() {
                kept.bytes = kept.bytes.saturating_add(data.len());
                if kept.bytes > kept.bytes_max {
                    kept.lost = true;
                    kept.pieces = Vec::new();
                } else {
                    kept.pieces.push(data.clone());
                    self.next += 1;
                }
            } else if let Some(trailers) = frame.trailers_ref() {
                kept.trailers = Some(trailers.clone());
                self.trailed = true;
            }
        } else if matches!(read, Some(Err(_))) {
            kept.lost = true;
        }
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.replay.0.borrow();
        let trailed = self.trailed || kept.trailers.is_none();
        self.next >= kept.pieces.len() && trailed && (kept.ended || kept.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.replay.0.borrow();
        let again: u64 = kept.pieces.iter().skip(self.next).map(|piece| piece.len() as u64).sum();
        let rest = kept.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(again + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(again + upper);
        }
        hint
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http::test_bodies::{chunks, chunks_then, collect, failing};

    fn text(body: Body) -> String {
        String::from_utf8(body.collect().now_or_never().unwrap().unwrap().to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_body_is_read_again_from_the_beginning_wherever_it_broke_off() {
        for read in 0..=3 {
            let replay = Replay::new(chunks(&["12", "34", "5"]), 5);
            let mut first = replay.body().unwrap();
            for _ in 0..read {
                assert!(first.frame().now_or_never().unwrap().is_some());
            }
            drop(first);
            assert_eq!(text(replay.body().unwrap()), "12345", "{read}");
            assert_eq!(text(replay.body().unwrap()), "12345", "{read}");
        }
    }

    #[test]
    fn lengths_and_trailers_stay() {
        let replay = Replay::new(Body::from(Bytes::from_static(b"12345")), 9);
        for _ in 0..2 {
            let body = replay.body().unwrap();
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
            assert_eq!(text(body), "12345");
        }
        let trailers = ::http::HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let replay = Replay::new(chunks_then(&["12"], trailers.clone()), 9);
        for _ in 0..2 {
            let whole = replay.body().unwrap().collect().now_or_never().unwrap().unwrap();
            assert_eq!(whole.trailers(), Some(&trailers));
        }
    }

    #[test]
    fn what_is_too_long_or_broken_is_passed_on_once() {
        let replay = Replay::new(chunks(&["12", "345", "6"]), 4);
        assert_eq!(text(replay.body().unwrap()), "123456");
        assert!(replay.body().is_none());
        let replay = Replay::new(failing(), 9);
        drop(collect(replay.body().unwrap()));
        assert!(replay.body().is_none());
    }
}
