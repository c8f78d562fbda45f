//! Counts the bytes of a body while they pass.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Body, BodyError};

impl Body {
    /// This body, its data bytes counted in what else this gives.
    pub fn counted(self) -> (Self, Rc<Cell<u64>>) {
        let bytes = Rc::new(Cell::new(0));
        (Self::boxed(Counted { body: self, bytes: Rc::clone(&bytes) }), bytes)
    }
}

struct Counted {
    body: Body,
    bytes: Rc<Cell<u64>>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.bytes.set(self.bytes.get() + bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::test_bodies::{chunks, collect, failing};

    #[test]
    fn what_passed_is_counted_even_where_it_breaks_off() {
        let check = |body: Body, expected: u64| {
            let (body, bytes) = body.counted();
            assert_eq!(bytes.get(), 0);
            drop(collect(body));
            assert_eq!(bytes.get(), expected);
        };
        check(chunks(&["12", "345"]), 5);
        check(failing(), 1);
    }
}
