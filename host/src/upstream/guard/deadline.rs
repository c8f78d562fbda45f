//! A response body that must be complete by a deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::http::{Body, BodyError};
use crate::time::Instant;

/// The body, broken off when it is not complete at `deadline`, which is `timeout` after its request.
pub(in crate::upstream) fn within(body: Body, deadline: Instant, timeout: Duration) -> Body {
    match body {
        // It is all here.
        Body::Empty | Body::Full(_) => body,
        body => Body::boxed(Within { body, timeout, sleep: Box::pin(tokio::time::sleep_until(deadline.into())) }),
    }
}

struct Within {
    body: Body,
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl http_body::Body for Within {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.sleep.as_mut().poll(cx).is_ready() {
            // Its connection ends with it.
            self.body = Body::Empty;
            tracing::warn!(timeout_ms = self.timeout.as_millis() as u64, "a response was not complete in time");
            return Poll::Ready(Some(Err(BodyError::Late(self.timeout))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
