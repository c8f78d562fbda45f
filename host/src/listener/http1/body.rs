//! The request body as the rest of the gateway sees it: reading it reads the connection, no faster than it is taken.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::chunked::{Decoded, Decoder};
use super::wire::Wire;
use crate::http::BodyError;
use crate::listener::Settings;
use crate::listener::stream::Stream;

/// A request body. What is left of it when it is dropped is the connection's to clear away.
pub(super) struct Incoming<S> {
    pub(super) wire: Rc<RefCell<Wire<S>>>,
    pub(super) settings: Rc<Settings>,
    /// Which exchange of the connection it belongs to.
    pub(super) number: u64,
    /// Whether the end was told.
    pub(super) over: bool,
}

impl<S: Stream> http_body::Body for Incoming<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.wire.borrow().number != self.number {
            self.over = true;
            return Poll::Ready(Some(Err(BodyError::Closed)));
        }
        let polled = self.wire.borrow_mut().poll_body(cx, &self.settings.http1);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(Decoded::Data(data)))) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Poll::Ready(Some(Ok(Decoded::Trailers(fields)))) => {
                self.over = true;
                Poll::Ready(Some(Ok(Frame::trailers(fields))))
            }
            Poll::Ready(Some(Ok(Decoded::End | Decoded::Incomplete)) | None) => {
                self.over = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.over = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let wire = self.wire.borrow();
        self.over || (wire.number == self.number && wire.decoder.is_done())
    }

    fn size_hint(&self) -> SizeHint {
        let wire = self.wire.borrow();
        match wire.decoder {
            _ if wire.number != self.number => SizeHint::default(),
            _ if self.over => SizeHint::with_exact(0),
            Decoder::Length(length) => SizeHint::with_exact(length),
            Decoder::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
