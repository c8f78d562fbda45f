//! The one body type that flows through the gateway, in both directions.
//!
//! Streams are passed on frame by frame, trailers included; nothing here buffers. A body that was made here knows its
//! length, so that it is framed with Content-Length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{FilePiece, Observed};

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The sender's connection failed or its framing was wrong.
    #[error("{0}")]
    Transport(#[from] hyper::Error),
    /// Nothing came for as long as the idle timeout allows.
    #[error("no data for {} s", .0.as_secs())]
    Idle(std::time::Duration),
    /// It was not complete in time, whatever came of it.
    #[error("not complete within {} ms", .0.as_millis())]
    Late(std::time::Duration),
    /// The sender's connection ended before the body did.
    #[error("the connection ended before the body")]
    Closed,
    /// The sender broke its framing.
    #[error("{0}")]
    Framing(&'static str),
    /// A file could not be read.
    #[error("{0}")]
    File(std::io::Error),
    /// It could not be encoded.
    #[error("{0}")]
    Coding(std::io::Error),
    /// Longer than the limit allows.
    #[error("longer than {0} bytes")]
    TooLarge(u64),
}

/// A request or response body.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes at hand.
    Full(Bytes),
    /// A stream from an upstream's connection.
    Incoming(Incoming),
    /// A piece of an open file, which the listener may hand to the kernel whole.
    File(FilePiece),
    /// A body whose end somebody wants to know of.
    Observed(Box<Observed>),
    /// A stream with something wrapped around it.
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

impl Body {
    /// Wraps another stream.
    pub fn boxed(body: impl http_body::Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Self::Boxed(Box::pin(body))
    }

    /// The piece of a file that is all that is left of the body, for those who can send it without reading it.
    pub fn file(&self) -> Option<&FilePiece> {
        match self {
            Self::File(piece) => Some(piece),
            Self::Observed(observed) => observed.body().file(),
            _ => None,
        }
    }

    /// Notes that so many bytes of [`Self::file`] have been sent.
    pub fn file_sent(&mut self, bytes: u64) {
        match self {
            Self::File(piece) => piece.advance(bytes),
            Self::Observed(observed) => observed.file_sent(bytes),
            _ => {}
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Incoming(_) => f.write_str("Incoming"),
            Self::File(piece) => write!(f, "File({} bytes)", piece.length()),
            Self::Observed(observed) => observed.body().fmt(f),
            Self::Boxed(_) => f.write_str("Boxed"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Incoming(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::from),
            Self::File(piece) => Poll::Ready(piece.read().map(|read| read.map(Frame::data).map_err(BodyError::File))),
            Self::Observed(observed) => observed.poll_frame(cx),
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::File(piece) => piece.length() == 0,
            Self::Observed(observed) => observed.body().is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::File(piece) => SizeHint::with_exact(piece.length()),
            Self::Observed(observed) => observed.body().size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}
