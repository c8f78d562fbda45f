//! The response body on its way in: reading it drives the connection, and its end gives the connection back.
//!
//! Nothing is read ahead: when the client does not take more, nobody polls, and the upstream is slowed down by TCP.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{Driven, Patience};
use super::http2::Slot;
use super::pool::Lease;
use crate::http::{Body, BodyError};
use crate::time;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// The body of a response whose head came in on `lease`. Where all of it is here already (the usual small response), the
/// connection is given back at once and the body costs nothing more.
pub(super) fn body(incoming: Incoming, lease: Lease, now: std::time::Instant, idle_timeout: Duration) -> Body {
    if !lease.connection.is_ready() && !lease.connection.is_ended() {
        return Body::boxed(Download {
            incoming,
            lease: Some(lease),
            slot: None,
            patience: Patience::default(),
            idle_timeout,
        });
    }
    let body = at_hand(incoming, &lease);
    lease.release(now);
    body
}

/// A body that a task of its own drives: `lease` is driven until the upload and this body are over. For the response that
/// comes before its request is complete, where each may have to wait for the other.
pub(super) fn body_apart(incoming: Incoming, mut lease: Lease, idle_timeout: Duration) -> Body {
    tokio::task::spawn_local(async move {
        let ready = std::future::poll_fn(|cx| match lease.connection.drive(cx) {
            Driven::Going if !lease.connection.is_ready() => Poll::Pending,
            driven => Poll::Ready(driven),
        });
        if ready.await == Driven::Going {
            lease.release(time::now());
        }
    });
    Body::boxed(Download { incoming, lease: None, slot: None, patience: Patience::default(), idle_timeout })
}

/// A body that comes on a stream of a connection that drives itself. `slot` is given back with its end.
pub(super) fn body_shared(incoming: Incoming, slot: Slot, idle_timeout: Duration) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    Body::boxed(Download { incoming, lease: None, slot: Some(slot), patience: Patience::default(), idle_timeout })
}

/// The body of which the connection has read everything.
fn at_hand(mut incoming: Incoming, lease: &Lease) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    if incoming.size_hint().exact().is_none() {
        return Body::Incoming(incoming);
    }
    // With a Content-Length what is here is one piece, unless the connection broke off after some of it.
    match lease.connection.relay.quietly(|| poll_incoming(&mut incoming)) {
        Poll::Ready(Some(Ok(frame))) if incoming.is_end_stream() => match frame.into_data() {
            Ok(data) => Body::Full(data),
            Err(_) => Body::Incoming(incoming),
        },
        Poll::Ready(Some(first)) => Body::boxed(Rest { first: Some(first), incoming }),
        Poll::Ready(None) | Poll::Pending => Body::Incoming(incoming),
    }
}

/// Takes what the connection has read. Nobody need be woken: only driving the connection brings more.
fn poll_incoming(incoming: &mut Incoming) -> Polled {
    Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop())).map_err(BodyError::from)
}

/// A piece that was looked at, and what follows.
struct Rest {
    first: Option<Result<Frame<Bytes>, BodyError>>,
    incoming: Incoming,
}

impl http_body::Body for Rest {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.incoming).poll_frame(cx).map_err(BodyError::from),
        }
    }
}

struct Download {
    incoming: Incoming,
    /// The connection, while this body drives it.
    lease: Option<Lease>,
    /// The stream, where there are others on its connection.
    slot: Option<Slot>,
    /// Used when somebody else drives the connection.
    patience: Patience,
    idle_timeout: Duration,
}

impl Download {
    /// Takes a piece; where none is here, drives the connection and looks once more.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(lease) = &mut self.lease else {
            return Pin::new(&mut self.incoming).poll_frame(cx).map_err(BodyError::from);
        };
        let incoming = &mut self.incoming;
        if let ready @ Poll::Ready(_) = lease.connection.relay.quietly(|| poll_incoming(incoming)) {
            return ready;
        }
        match lease.connection.drive(cx) {
            Driven::Going => lease.connection.relay.quietly(|| poll_incoming(incoming)),
            Driven::Ended => {
                self.lease = None;
                // The connection has left everything it read, and then the end or an error.
                Pin::new(&mut self.incoming).poll_frame(cx).map_err(BodyError::from)
            }
        }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.lease {
            Some(lease) => lease.connection.poll_patience(self.idle_timeout),
            None => self.patience.poll(cx, self.idle_timeout),
        }
    }

    fn stop_patience(&mut self) {
        match &mut self.lease {
            Some(lease) => lease.connection.patience.stop(),
            None => self.patience.stop(),
        }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let polled = this.poll_piece(cx);
        match &polled {
            Poll::Pending => {
                if this.poll_patience(cx).is_ready() {
                    (this.lease, this.slot) = (None, None);
                    let error = BodyError::Idle(this.idle_timeout);
                    tracing::warn!(%error, "an upstream broke off its response");
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Poll::Ready(Some(Ok(frame))) if !frame.is_trailers() && !this.incoming.is_end_stream() => {
                this.stop_patience();
            }
            // The last piece, the trailers or the end: a reader may not ask again after any of them.
            Poll::Ready(Some(Ok(_)) | None) => {
                this.slot = None;
                if let Some(lease) = this.lease.take() {
                    lease.release(time::now());
                }
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(%error, "an upstream broke off its response");
                (this.lease, this.slot) = (None, None);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
