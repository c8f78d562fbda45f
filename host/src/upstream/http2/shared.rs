//! The HTTP/2 connections of one worker to one endpoint, and how a request comes to a stream on one of them.
//!
//! Filled in order, so that those that a calmer hour does not need become idle and go. While one is being made, requests that find
//! no room wait for it instead of making more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::super::pool::{Lease, Place, Pool};
use super::super::stream::{Purpose, Stream};
use super::super::wire::Protocol;
use super::super::{Connected, UpstreamError};
use super::multiplex::{Multiplex, Slot};
use crate::exchange::Client;
use crate::time::Instant;

/// What an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
    /// Nobody has asked yet.
    Unknown,
}

/// The connections.
pub(in crate::upstream) struct Shared {
    list: RefCell<Vec<Rc<Multiplex>>>,
    /// The one that is being made.
    opening: RefCell<Option<Rc<Opening>>>,
    speaks: Cell<Speaks>,
}

/// A connection that is being made.
#[derive(Default)]
struct Opening {
    over: Notify,
    failed: RefCell<Option<UpstreamError>>,
}

/// What a request goes on.
pub(super) enum Road {
    /// A stream among others.
    Stream(Slot),
    /// A connection in HTTP/1.1.
    Connection(Lease),
}

impl Shared {
    pub(in crate::upstream) fn new(protocol: Protocol) -> Self {
        let speaks = match protocol {
            Protocol::Http1 => Speaks::Http1,
            Protocol::Http2 => Speaks::Http2,
            Protocol::Auto => Speaks::Unknown,
        };
        Self { list: RefCell::default(), opening: RefCell::default(), speaks: Cell::new(speaks) }
    }

    /// How many connections have no stream.
    pub(in crate::upstream) fn idle(&self) -> usize {
        self.list.borrow().iter().filter(|multiplex| multiplex.streams() == 0).count()
    }

    /// How many streams there are, and on how many connections.
    pub(in crate::upstream) fn busy(&self) -> (usize, usize) {
        let list = self.list.borrow();
        let streams = list.iter().map(|multiplex| multiplex.streams());
        (streams.clone().sum(), streams.filter(|streams| *streams > 0).count())
    }

    /// Retires what has been idle for too long. Gives how many connections are no more, and how many are left.
    pub(in crate::upstream) fn sweep(&self, now: Instant, timeout: Duration) -> (usize, usize) {
        for multiplex in &*self.list.borrow() {
            if multiplex.idle_since().is_some_and(|since| now.saturating_duration_since(since) >= timeout) {
                multiplex.retire();
            }
        }
        let closed = self.forget();
        (closed, self.list.borrow().len())
    }

    /// Forgets connections that are over. Gives how many.
    fn forget(&self) -> usize {
        let over: Vec<_> = self.list.borrow_mut().extract_if(.., |multiplex| multiplex.is_over()).collect();
        over.len()
    }
}

impl Pool {
    /// Something to send a request on, and whether it was there before.
    pub(super) async fn road(
        self: &Rc<Self>,
        client: &Client,
        now: Instant,
    ) -> Result<(Road, Connected), UpstreamError> {
        loop {
            let room = self.shared.list.borrow().iter().find(|multiplex| multiplex.has_room()).map(Rc::clone);
            if let Some(multiplex) = room {
                return Ok((Road::Stream(Slot::take(multiplex, self)), Connected::Reused));
            }
            if let Some(lease) = self.reuse(now, client) {
                return Ok((Road::Connection(lease), Connected::Reused));
            }
            let opening = self.shared.opening.borrow().clone();
            let Some(opening) = opening.filter(|_| self.shared.speaks.get() != Speaks::Http1) else { break };
            opening.over.notified().await;
            if let Some(error) = &*opening.failed.borrow() {
                return Err(error.again());
            }
        }
        let underway = Underway::begin(self);
        let opened = self.open(client).await;
        underway.end(opened.as_ref().err());
        Ok((opened?, Connected::New))
    }

    async fn open(self: &Rc<Self>, client: &Client) -> Result<Road, UpstreamError> {
        let (place, stream) = self.stream(client, Purpose::Requests).await?;
        let speaks = match (self.wire.protocol, &self.wire.tls) {
            (Protocol::Http2, None) => Speaks::Http2,
            _ if stream.agreed_on_http2() => Speaks::Http2,
            _ => Speaks::Http1,
        };
        self.shared.speaks.set(speaks);
        match speaks {
            Speaks::Http2 => self.share(place, stream).await.map(Road::Stream),
            _ => self.lease((place, stream), client).await.map(Road::Connection),
        }
    }

    /// Speaks HTTP/2 on a new connection.
    async fn share(self: &Rc<Self>, place: Place, stream: Stream) -> Result<Slot, UpstreamError> {
        let expected = self.shared.list.borrow().iter().find_map(|multiplex| multiplex.known_limit());
        let multiplex = Multiplex::on(stream, Rc::downgrade(self), expected).await;
        let broken = |error| UpstreamError::Protocol { endpoint: Rc::clone(&self.endpoint), error };
        let multiplex = multiplex.map_err(broken)?;
        place.hand_over();
        self.shared.list.borrow_mut().push(Rc::clone(&multiplex));
        self.keep_sweeping();
        Ok(Slot::take(multiplex, self))
    }

    /// A stream is over.
    pub(super) fn stream_ended(&self, multiplex: &Multiplex) {
        if self.idle_limits().1 == 0 && multiplex.streams() == 0 {
            multiplex.retire();
        }
        // Lets go on who waits for a stream.
        self.closed(if multiplex.is_over() { self.shared.forget() } else { 0 });
    }

    /// Forgets connections that are over.
    pub(super) fn forget_closed(&self) {
        self.closed(self.shared.forget());
    }
}

/// Lets go on who waits for a connection, however its making ends.
struct Underway<'p> {
    pool: &'p Pool,
    opening: Rc<Opening>,
}

impl<'p> Underway<'p> {
    fn begin(pool: &'p Pool) -> Self {
        let opening = Rc::new(Opening::default());
        pool.shared.opening.replace(Some(Rc::clone(&opening)));
        Self { pool, opening }
    }

    fn end(self, error: Option<&UpstreamError>) {
        self.opening.failed.replace(error.map(UpstreamError::again));
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let mut opening = self.pool.shared.opening.borrow_mut();
        // Where HTTP/1.1 is spoken several may be under way.
        if opening.as_ref().is_some_and(|opening| Rc::ptr_eq(opening, &self.opening)) {
            *opening = None;
        }
        drop(opening);
        self.opening.over.notify_waiters();
    }
}
