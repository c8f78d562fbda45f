//! Bodies for tests: streams that are made of given pieces, and a reader that never waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::{Body, BodyError};

struct Pieces(VecDeque<Result<Frame<Bytes>, BodyError>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.pop_front())
    }
}

/// A body of unknown length.
pub(crate) fn chunks(parts: &[&'static str]) -> Body {
    Body::boxed(Pieces(parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect()))
}

/// A body of unknown length with trailers.
pub(crate) fn chunks_then(parts: &[&'static str], trailers: http::HeaderMap) -> Body {
    let data = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
    Body::boxed(Pieces(data.chain([Ok(Frame::trailers(trailers))]).collect()))
}

/// A body that fails after one byte.
pub(crate) fn failing() -> Body {
    let error = BodyError::Idle(std::time::Duration::from_secs(1));
    Body::boxed(Pieces(VecDeque::from([Ok(Frame::data(Bytes::from_static(b"1"))), Err(error)])))
}

/// A body whose sender goes away after one byte.
pub(crate) fn cut_off() -> Body {
    Body::boxed(Pieces(VecDeque::from([Ok(Frame::data(Bytes::from_static(b"1"))), Err(BodyError::Closed)])))
}

/// The data of a body that is never pending, and the error that ended it.
pub(crate) fn collect(mut body: Body) -> (Vec<u8>, Option<BodyError>) {
    let mut data = Vec::new();
    loop {
        match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) => data.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Poll::Ready(Some(Err(error))) => return (data, Some(error)),
            Poll::Ready(None) | Poll::Pending => return (data, None),
        }
    }
}
