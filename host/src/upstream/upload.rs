//! The request body on its way out, watched: how far it is, who is waited for, and what broke it.
//!
//! Without it a slow or broken client would look like a slow or broken upstream.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::http::{Body, BodyError};

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The upstream has not taken what the client has sent.
    Taking,
    /// The client has not sent more.
    Awaiting,
    /// All of it has been handed on.
    Done,
    /// The client has gone away.
    Gone,
    /// The client's framing failed, or nothing of it came any more.
    Broken,
    /// It got longer than allowed.
    TooLarge,
}

/// What is known about the upload of one request.
#[derive(Debug)]
pub(super) struct Upload {
    progress: Cell<Progress>,
    bytes: Cell<u64>,
}

impl Upload {
    /// Wraps a body to watch it; a body that is empty or at hand needs no watching.
    pub(super) fn watch(body: Body) -> (Option<Rc<Self>>, Body) {
        match body {
            Body::Empty | Body::Full(_) => (None, body),
            body if body.is_end_stream() => (None, Body::Empty),
            body => {
                let upload = Rc::new(Self { progress: Cell::new(Progress::Taking), bytes: Cell::new(0) });
                (Some(Rc::clone(&upload)), Body::boxed(Watched { body, upload }))
            }
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.get()
    }

    /// Data bytes handed on so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

struct Watched {
    body: Body,
    upload: Rc<Upload>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let upload = &self.upload;
        upload.progress.set(match &polled {
            Poll::Pending => Progress::Awaiting,
            Poll::Ready(None) => Progress::Done,
            Poll::Ready(Some(Err(BodyError::TooLarge(_)))) => Progress::TooLarge,
            Poll::Ready(Some(Err(BodyError::Closed))) => Progress::Gone,
            Poll::Ready(Some(Err(_))) => Progress::Broken,
            Poll::Ready(Some(Ok(frame))) => {
                upload.bytes.set(upload.bytes.get() + frame.data_ref().map_or(0, |data| data.len() as u64));
                if frame.is_trailers() || self.body.is_end_stream() { Progress::Done } else { Progress::Taking }
            }
        });
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
    use crate::http::test_bodies::{chunks, collect, cut_off, failing};

    #[test]
    fn the_progress_tells_how_an_upload_ended() {
        let check = |body: Body, progress, bytes| {
            let (upload, body) = Upload::watch(body);
            drop(collect(body));
            let upload = upload.unwrap();
            assert_eq!((upload.progress(), upload.bytes()), (progress, bytes));
        };
        check(chunks(&["12", "345"]), Progress::Done, 5);
        check(failing(), Progress::Broken, 1);
        check(cut_off(), Progress::Gone, 1);
        check(chunks(&["12", "345"]).limited(3).unwrap(), Progress::TooLarge, 2);
        assert!(Upload::watch(Body::Empty).0.is_none());
        assert!(Upload::watch(Bytes::from_static(b"x").into()).0.is_none());
    }
}
