//! One HTTP/2 connection and the streams on it.
//!
//! States: in use (takes streams, as many as both sides allow) → retired (takes no more, finishes what it has) → ended.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use tokio::sync::Notify;

use super::super::connection::Patience;
use super::super::pool::Pool;
use super::super::send::Trouble;
use super::super::stream::Stream;
use super::super::upload::Upload;
use crate::http::{Body, Transport};
use crate::time::{self, Instant};

/// Streams on one connection at most, however many the endpoint would take: more are better off on two connections.
const STREAMS_MAX: usize = 100;
/// Streams before the endpoint has said how many it takes. The others wait in the connection until then, and none is refused.
const STREAMS_FIRST: usize = 1;
/// Bytes that may be under way to us on one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same on one connection: enough for all streams, so that clients that read slowly hold up nobody else.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX as u32;
/// Bytes of a request body that are buffered per stream.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Longest response head.
const HEAD_BYTES_MAX: u32 = 128 * 1024;

/// Runs what hyper splits off on the worker's thread, and lets go on who waits for something to come of it.
#[derive(Clone, Default)]
struct Here(Rc<Notify>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        let progress = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                progress.notify_waiters();
                polled
            })
            .await;
        });
    }
}

type Http = http2::Connection<Transport<Stream>, Body, Here>;

/// A connection.
pub(super) struct Multiplex {
    /// None once it is over, so that what waits in it is given back.
    http: Rc<RefCell<Option<Http>>>,
    sender: RefCell<http2::SendRequest<Body>>,
    /// Notified whenever something may have come from the endpoint.
    progress: Rc<Notify>,
    streams: Cell<usize>,
    /// Streams that the endpoint takes, as last seen.
    limit: Rc<Cell<usize>>,
    /// The same before it has said anything.
    expected: usize,
    /// When a response began last.
    heard: Cell<Option<Instant>>,
    retired: Cell<bool>,
    idle_since: Cell<Instant>,
}

impl Multiplex {
    /// Speaks HTTP/2 on a stream. `pool` is told of its end. `expected`: streams that the endpoint took on other connections.
    pub(super) async fn on(stream: Stream, pool: Weak<Pool>, expected: Option<usize>) -> hyper::Result<Rc<Self>> {
        let here = Here::default();
        let progress = Rc::clone(&here.0);
        let (sender, http) = http2::Builder::new(here)
            .initial_max_send_streams(STREAMS_FIRST)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(HEAD_BYTES_MAX)
            .handshake(Transport::new(stream))
            .await?;
        let http = Rc::new(RefCell::new(Some(http)));
        let limit = Rc::new(Cell::new(STREAMS_FIRST));
        let (driven, seen) = (Rc::clone(&http), Rc::clone(&limit));
        tokio::task::spawn_local(async move {
            poll_fn(|cx| match &mut *driven.borrow_mut() {
                Some(http) => {
                    // An error has been told to the streams that it concerns.
                    let polled = Pin::new(&mut *http).poll(cx).map(drop);
                    seen.set(http.current_max_send_streams());
                    polled
                }
                None => Poll::Ready(()),
            })
            .await;
            let ended = driven.take();
            drop(ended);
            if let Some(pool) = pool.upgrade() {
                pool.forget_closed();
            }
        });
        Ok(Rc::new(Self {
            http,
            sender: RefCell::new(sender),
            progress,
            streams: Cell::new(0),
            limit,
            expected: expected.unwrap_or(STREAMS_MAX),
            heard: Cell::new(None),
            retired: Cell::new(false),
            idle_since: Cell::new(time::now()),
        }))
    }

    /// Streams that it may have.
    fn limit(&self) -> usize {
        // While the connection is being driven, what was seen before holds.
        if let Ok(http) = self.http.try_borrow()
            && let Some(http) = &*http
        {
            self.limit.set(http.current_max_send_streams());
        }
        self.known_limit().unwrap_or(self.expected).min(STREAMS_MAX)
    }

    /// The same, if the endpoint has said so.
    pub(super) fn known_limit(&self) -> Option<usize> {
        let limit = self.limit.get();
        // Settings come before the first response (RFC 9113 section 3.4).
        (limit != STREAMS_FIRST || self.heard.get().is_some()).then_some(limit)
    }

    /// Whether it takes one more stream.
    pub(super) fn has_room(&self) -> bool {
        !self.retired.get() && !self.is_closed() && self.streams.get() < self.limit()
    }

    fn is_closed(&self) -> bool {
        self.sender.borrow().is_closed()
    }

    /// Streams that it has.
    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// It takes no more streams.
    pub(super) fn retire(&self) {
        self.retired.set(true);
    }

    /// Whether nothing will come of it any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed() || (self.retired.get() && self.streams.get() == 0)
    }

    /// Since when it has no stream, if it has none.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }
}

/// A stream's place on a connection; given back when dropped.
pub(in crate::upstream) struct Slot {
    multiplex: Rc<Multiplex>,
    pub(super) pool: Rc<Pool>,
}

impl Slot {
    pub(super) fn take(multiplex: Rc<Multiplex>, pool: &Rc<Pool>) -> Self {
        multiplex.streams.set(multiplex.streams.get() + 1);
        pool.note();
        Self { multiplex, pool: Rc::clone(pool) }
    }

    /// Whose it is.
    pub(in crate::upstream) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Its connection takes no more streams.
    pub(super) fn retire(&self) {
        self.multiplex.retire();
    }

    /// Whether its connection is no more.
    pub(super) fn is_closed(&self) -> bool {
        self.multiplex.is_closed()
    }

    /// Whether the endpoint has not said anything that is HTTP/2.
    pub(super) fn is_mute(&self) -> bool {
        self.multiplex.known_limit().is_none()
    }

    /// Whether the endpoint takes extended CONNECT, which it says when the connection begins (RFC 8441 section 3).
    pub(super) async fn takes_connect(&self) -> bool {
        loop {
            let progress = self.multiplex.progress.notified();
            self.multiplex.limit();
            if self.is_closed() {
                return false;
            }
            if !self.is_mute()
                && let Ok(http) = self.multiplex.http.try_borrow()
            {
                return http.as_ref().is_some_and(http2::Connection::is_extended_connect_protocol_enabled);
            }
            progress.await;
        }
    }

    /// Sends a request and waits for the response head.
    pub(super) async fn exchange(
        &self,
        request: ::http::Request<Body>,
        upload: Option<&Upload>,
        timeout: Duration,
    ) -> Result<::http::Response<Incoming>, Trouble> {
        let sent_at = time::now();
        let answer = self.multiplex.sender.borrow_mut().try_send_request(request);
        let mut answer = pin!(answer);
        let (mut patience, mut uploaded) = (Patience::default(), 0);
        patience.restart(sent_at, timeout);
        let answered = poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(|mut failed| match failed.take_message() {
                    Some(request) => Trouble::Returned(request.into_body(), failed.into_error()),
                    None => Trouble::Failed(failed.into_error()),
                }));
            }
            while patience.poll(cx, timeout).is_ready() {
                match upload.map(Upload::bytes) {
                    Some(bytes) if bytes > uploaded => uploaded = bytes,
                    _ => return Poll::Ready(Err(Trouble::TimedOut)),
                }
                patience.restart(time::now(), timeout);
            }
            Poll::Pending
        })
        .await;
        match &answered {
            Ok(_) => self.multiplex.heard.set(Some(time::now())),
            // Nobody else was answered meanwhile either: perhaps there is nobody any more at the other end.
            Err(Trouble::TimedOut) if self.multiplex.heard.get().is_none_or(|heard| heard < sent_at) => self.retire(),
            Err(_) => {}
        }
        answered
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let left = self.multiplex.streams.get().saturating_sub(1);
        self.multiplex.streams.set(left);
        if left == 0 {
            self.multiplex.idle_since.set(time::now());
        }
        self.pool.stream_ended(&self.multiplex);
    }
}
