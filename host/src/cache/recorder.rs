//! Collects a body while it is read, and stores it when it was complete.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};

use super::Cache;
use super::stored::Draft;
use crate::http::{Body, BodyError};

/// Most bytes that are reserved because a length was announced; a body that really is that long may grow.
const RESERVED_BYTES_MAX: u64 = 256 * 1024;

/// A response that waits for its body.
pub(super) struct Recorder {
    cache: Cache,
    key: Box<str>,
    draft: Draft,
    declared: Option<u64>,
    collected: BytesMut,
}

impl Recorder {
    pub(super) fn new(cache: Cache, key: Box<str>, draft: Draft, declared: Option<u64>) -> Self {
        Self { cache, key, draft, declared, collected: BytesMut::new() }
    }

    /// Collects what is read from `body`.
    pub(super) fn follow(mut self, body: Body) -> Body {
        let expected = body.size_hint().lower().min(RESERVED_BYTES_MAX);
        self.collected.reserve(usize::try_from(expected).unwrap_or(0));
        Body::boxed(Recorded { body, recorder: Some(Box::new(self)) })
    }

    /// Stores a response whose body is at hand. It is copied, because as it came it is part of a larger read buffer.
    pub(super) fn finish_with(mut self, body: &[u8]) {
        if self.collect(body) == Collected::Fits {
            self.finish();
        }
    }

    fn collect(&mut self, data: &[u8]) -> Collected {
        if (self.collected.len() + data.len()) as u64 > self.cache.object_bytes_max {
            return Collected::TooLong;
        }
        self.collected.extend_from_slice(data);
        Collected::Fits
    }

    /// Stores what was collected, if it is what was announced.
    pub(super) fn finish(self) {
        let length = self.collected.len();
        if self.declared.is_some_and(|declared| declared != length as u64) {
            return;
        }
        // Growing leaves up to half of the memory unused, which the cache would not count.
        let spare = self.collected.capacity() - length;
        let body = if spare > length / 8 { Bytes::copy_from_slice(&self.collected) } else { self.collected.freeze() };
        self.cache.insert(self.key, self.draft.complete(body));
    }
}

#[derive(PartialEq, Eq)]
enum Collected {
    Fits,
    TooLong,
}

struct Recorded {
    body: Body,
    /// None once it is decided whether the response is stored.
    recorder: Option<Box<Recorder>>,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let Some(recorder) = &mut this.recorder else { return polled };
        let ended = match &polled {
            Poll::Pending => return polled,
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                Some(data) if recorder.collect(data) == Collected::Fits => this.body.is_end_stream(),
                // Too long, or trailers, which are not kept.
                _ => {
                    this.recorder = None;
                    false
                }
            },
            Poll::Ready(Some(Err(_))) => {
                this.recorder = None;
                false
            }
        };
        if ended && let Some(recorder) = this.recorder.take() {
            recorder.finish();
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
