//! Several bodies as one.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError};

/// Bodies of known length, one after the other.
struct InOrder {
    parts: VecDeque<Body>,
    left: u64,
}

impl Body {
    /// Several bodies of known length, one after the other.
    pub fn in_order(parts: Vec<Self>) -> Self {
        let left = parts.iter().map(|part| part.size_hint().lower()).sum();
        Self::boxed(InOrder { parts: parts.into(), left })
    }
}

impl http_body::Body for InOrder {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while let Some(part) = self.parts.front_mut() {
            match Pin::new(part).poll_frame(cx) {
                Poll::Ready(None) => drop(self.parts.pop_front()),
                Poll::Ready(Some(Ok(frame))) => {
                    self.left = self.left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                    return Poll::Ready(Some(Ok(frame)));
                }
                other => return other,
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
