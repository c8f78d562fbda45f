//! Holds a body to a length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError};

impl Body {
    /// This body, ending with [`BodyError::TooLarge`] instead of giving more than `bytes_max`. One whose announced length
    /// is too long is refused at once; one whose announced length fits is returned as it is, because HTTP already holds
    /// it to that length.
    pub fn limited(self, bytes_max: u64) -> Result<Self, BodyError> {
        let hint = self.size_hint();
        if hint.lower() > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        match hint.upper() {
            Some(upper) if upper <= bytes_max => Ok(self),
            _ => Ok(Self::boxed(Limited { body: self, left: bytes_max, bytes_max })),
        }
    }
}

struct Limited {
    body: Body,
    left: u64,
    bytes_max: u64,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.body = Body::Empty;
                    return Poll::Ready(Some(Err(BodyError::TooLarge(self.bytes_max))));
                }
            }
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::http::test_bodies::{chunks, collect};

    #[test]
    fn a_known_length_is_judged_at_once() {
        assert!(matches!(Body::from(Bytes::from_static(b"12345")).limited(5), Ok(Body::Full(_))));
        assert!(matches!(Body::from(Bytes::from_static(b"123456")).limited(5), Err(BodyError::TooLarge(5))));
        assert!(matches!(Body::Empty.limited(0), Ok(Body::Empty)));
    }

    #[test]
    fn an_unknown_length_is_counted() {
        let check = |parts: &'static [&'static str], expected: Result<&str, ()>| {
            let (data, error) = collect(chunks(parts).limited(5).unwrap());
            match expected {
                Ok(all) => assert!(error.is_none() && data == all.as_bytes()),
                Err(()) => assert!(matches!(error, Some(BodyError::TooLarge(5))), "{data:?}"),
            }
        };
        check(&["12", "345"], Ok("12345"));
        check(&[], Ok(""));
        check(&["123", "456"], Err(()));
        check(&["123456"], Err(()));
    }
}
