//! Shadow traffic: copies of requests for an upstream whose answers nobody waits for.
//!
//! A mirror never delays or fails the request that it copies: the copy is sent when the request's body has passed by, a body that
//! is too long is not copied, and when too many copies are on their way further ones are left out.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::Pipeline;
use super::settings::Mirror;
use crate::exchange::{Client, Request};
use crate::http::{Body, BodyError};
use crate::upstream::Upstreams;

/// Tells an upstream that what it answers is thrown away.
const MIRROR: HeaderName = HeaderName::from_static("x-portcullis-mirror");
/// Copies of one worker that may be on their way at once.
const COPIES_MAX: usize = 128;
/// Bytes of an answer that are read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The copies of one worker that are on their way.
#[derive(Debug, Clone, Default)]
pub(super) struct Copies(Rc<Cell<usize>>);

/// One of them.
struct Copy(Copies);

impl Copies {
    fn enter(&self) -> Option<Copy> {
        if self.0.get() >= COPIES_MAX {
            return None;
        }
        self.0.set(self.0.get() + 1);
        Some(Copy(self.clone()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

impl Pipeline {
    /// Gives the body on, and sends a copy of the request once it has passed by.
    pub(super) fn mirrored(&self, mirror: &Mirror, client: &Arc<Client>, request: &Request, body: Body) -> Body {
        let Some(copy) = self.copies.enter() else { return body };
        if body.size_hint().lower() > mirror.body_bytes_max {
            return body;
        }
        let mut headers = request.headers.clone();
        headers.insert(MIRROR, HeaderValue::from_static("1"));
        let request = Request {
            method: request.method.clone(),
            authority: Arc::clone(&request.authority),
            target: request.target.clone(),
            headers,
            version: request.version,
            upgrade: None,
        };
        let parcel = Parcel {
            copy,
            upstreams: Rc::clone(&self.upstreams),
            upstream: mirror.upstream,
            client: Arc::clone(client),
            request,
        };
        if body.is_end_stream() {
            parcel.send(Body::Empty);
            return body;
        }
        let left = usize::try_from(mirror.body_bytes_max).unwrap_or(usize::MAX);
        Body::boxed(Tee { body, seen: BytesMut::new(), left, parcel: Some(parcel) })
    }
}

/// A copy that waits for its body.
struct Parcel {
    copy: Copy,
    upstreams: Rc<Upstreams>,
    upstream: usize,
    client: Arc<Client>,
    request: Request,
}

impl Parcel {
    fn send(self, body: Body) {
        let Self { copy, upstreams, upstream, client, request } = self;
        tokio::task::spawn_local(async move {
            let _copy = copy;
            match upstreams.send(upstream, &client, &request, body).await {
                Ok(sent) => read(sent.response.body).await,
                Err(error) => tracing::debug!(%error, "a mirrored request has no answer"),
            }
        });
    }
}

/// Reads an answer that nobody wants.
async fn read(mut body: Body) {
    let mut left = ANSWER_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return;
        }
        left -= length;
    }
}

/// A body that is remembered while it passes by.
struct Tee {
    body: Body,
    seen: BytesMut,
    left: usize,
    /// Gone when the body turned out to be too long, or broke off.
    parcel: Option<Parcel>,
}

impl Tee {
    fn finish(&mut self) {
        if let Some(parcel) = self.parcel.take() {
            parcel.send(Body::from(self.seen.split().freeze()));
        }
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.data_ref().filter(|_| this.parcel.is_some());
                match data {
                    Some(data) if data.len() <= this.left => {
                        this.left -= data.len();
                        this.seen.extend_from_slice(data);
                    }
                    Some(_) => (this.parcel, this.seen) = (None, BytesMut::new()),
                    None => {}
                }
                // Who knows that nothing follows does not ask again.
                if this.body.is_end_stream() {
                    this.finish();
                }
            }
            Poll::Ready(Some(Err(_))) => this.parcel = None,
            Poll::Ready(None) => this.finish(),
            Poll::Pending => {}
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
