//! The connections of one worker to one endpoint: those in use are counted, the idle ones kept.
//!
//! Last in, first out: the connection used last is the least likely to have been closed, and those that a calmer hour does
//! not need grow old and go.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::guard::Queue;
use super::health::Tally;
use super::http2::Shared;
use super::stream::{self, OpenError, Purpose, Stream};
use super::wire::{Protocol, Wire};
use super::{Endpoint, Settings, UpstreamError};
use crate::exchange::Client;
use crate::time;

/// How often idle connections are looked through for old and closed ones, while there are any.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The part of an upstream's settings that a pool needs; a configuration change may replace it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    connect_timeout: Duration,
    idle_connections_max: usize,
    idle_connection_timeout: Duration,
    connections_max: usize,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            connect_timeout: settings.connect_timeout,
            idle_connections_max: settings.idle_connections_max,
            idle_connection_timeout: settings.idle_connection_timeout,
            connections_max: settings.connections_max,
        }
    }
}

/// The connections to one endpoint.
pub(super) struct Pool {
    pub(super) endpoint: Rc<Endpoint>,
    /// The endpoint's address where it is not a name.
    literal: Option<SocketAddr>,
    pub(super) wire: Wire,
    limits: Cell<Limits>,
    #[allow(clippy::vec_box, reason = "a connection is large, and is moved on every request")]
    idle: RefCell<Vec<Box<Connection>>>,
    /// Those on which many requests go at once.
    pub(super) shared: Shared,
    /// All connections, idle ones included.
    open: Cell<usize>,
    sweeping: Cell<bool>,
    /// Where operators look.
    tally: Arc<Tally>,
    /// Who waits for a connection.
    queue: Rc<Queue>,
}

impl Pool {
    /// `address`: where the endpoint's name leads, if it is one and that is known already.
    pub(super) fn new(
        (endpoint, address): (&Endpoint, Option<SocketAddr>),
        wire: &Wire,
        limits: Limits,
        tally: Arc<Tally>,
        queue: Rc<Queue>,
    ) -> Rc<Self> {
        let literal = match endpoint {
            Endpoint::Tcp { host, port } => {
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                address.or_else(|| host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, *port)))
            }
            Endpoint::Unix(_) => None,
        };
        Rc::new(Self {
            endpoint: Rc::new(endpoint.clone()),
            literal,
            wire: wire.clone(),
            limits: Cell::new(limits),
            idle: RefCell::default(),
            shared: Shared::new(wire.protocol),
            open: Cell::new(0),
            sweeping: Cell::new(false),
            tally,
            queue,
        })
    }

    /// From now on these limits hold.
    pub(super) fn limit(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// How many connections there are, and how many of them are idle.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.open.get(), self.idle.borrow().len() + self.shared.idle())
    }

    /// How many requests are under way.
    pub(super) fn busy(&self) -> usize {
        let (streams, connections) = self.shared.busy();
        let (open, idle) = self.count();
        (open + streams).saturating_sub(idle + connections)
    }

    /// Tells operators how many connections there are.
    pub(super) fn note(&self) {
        let (open, idle) = self.count();
        self.tally.open.set(open as u64);
        self.tally.idle.set(idle as u64);
        self.tally.busy.set(self.busy() as u64);
    }

    /// How long an idle connection is kept, and whether any is.
    pub(super) fn idle_limits(&self) -> (Duration, usize) {
        let limits = self.limits.get();
        (limits.idle_connection_timeout, limits.idle_connections_max)
    }

    /// So many connections are no more. Lets those go on that wait for one.
    pub(super) fn closed(&self, connections: usize) {
        self.open.set(self.open.get().saturating_sub(connections));
        self.note();
        self.queue.wake();
    }

    /// An idle connection that is still good, made for this client where it matters.
    pub(super) fn reuse(self: &Rc<Self>, now: Instant, client: &Client) -> Option<Lease> {
        let timeout = self.limits.get().idle_connection_timeout;
        let ends = self.wire.ends(client);
        loop {
            let mut connection = match ends {
                None => self.idle.borrow_mut().pop()?,
                Some(_) => {
                    let mut idle = self.idle.borrow_mut();
                    let index = idle.iter().rposition(|connection| connection.ends == ends)?;
                    idle.remove(index)
                }
            };
            if now.saturating_duration_since(connection.idle_since) < timeout && connection.is_alive() {
                self.note();
                return Some(Lease { connection, place: Place { pool: Rc::clone(self), held: true } });
            }
            self.open.set(self.open.get() - 1);
        }
    }

    /// A new connection on which HTTP/1.1 is spoken.
    pub(super) async fn connect(self: &Rc<Self>, client: &Client) -> Result<Lease, UpstreamError> {
        let purpose = if self.wire.protocol == Protocol::Http1 { Purpose::Requests } else { Purpose::Http1 };
        let opened = self.stream(client, purpose).await?;
        self.lease(opened, client).await
    }

    /// Speaks HTTP/1.1 on a new connection.
    pub(super) async fn lease(
        self: &Rc<Self>,
        (place, stream): (Place, Stream),
        client: &Client,
    ) -> Result<Lease, UpstreamError> {
        match Connection::on(stream, self.wire.ends(client)).await {
            Ok(connection) => Ok(Lease { connection, place }),
            Err(error) => Err(UpstreamError::Connect { endpoint: Rc::clone(&self.endpoint), error }),
        }
    }

    /// A new connection on which nothing has been asked.
    pub(super) async fn stream(
        self: &Rc<Self>,
        client: &Client,
        purpose: Purpose,
    ) -> Result<(Place, Stream), UpstreamError> {
        let Limits { connect_timeout: timeout, connections_max: max, .. } = self.limits.get();
        let endpoint = || Rc::clone(&self.endpoint);
        if self.open.get() >= max {
            return Err(UpstreamError::Overload { endpoint: endpoint(), max });
        }
        let place = Place::take(self);
        let opened = stream::open(&self.endpoint, self.literal, (&self.wire, purpose), self.wire.ends(client));
        match tokio::time::timeout(timeout, opened).await {
            Ok(Ok(stream)) => Ok((place, stream)),
            Ok(Err(OpenError::Connect(error))) => Err(UpstreamError::Connect { endpoint: endpoint(), error }),
            Ok(Err(OpenError::Tls(what))) => Err(UpstreamError::Tls { endpoint: endpoint(), what }),
            Err(_) => Err(UpstreamError::ConnectTimeout { endpoint: endpoint(), timeout }),
        }
    }

    /// Keeps an idle connection, unless there are enough. Whether it did.
    fn keep(self: &Rc<Self>, mut connection: Box<Connection>, now: Instant) -> bool {
        let mut idle = self.idle.borrow_mut();
        let max = self.limits.get().idle_connections_max;
        if connection.ends.is_some() && max > 0 && idle.len() >= max {
            // The oldest is of a client that may be gone, and of use to no other.
            idle.remove(0);
            self.open.set(self.open.get() - 1);
        }
        let keep = idle.len() < max;
        if keep {
            connection.idle_since = now;
            idle.push(connection);
            drop(idle);
            self.keep_sweeping();
            self.note();
            self.queue.wake();
        }
        keep
    }

    /// Has idle connections looked through, as long as there are any.
    pub(super) fn keep_sweeping(self: &Rc<Self>) {
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes idle connections that are too old or that the endpoint has closed. Gives how many are left.
    fn sweep(&self, now: Instant) -> usize {
        let timeout = self.limits.get().idle_connection_timeout;
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|connection| {
            now.saturating_duration_since(connection.idle_since) < timeout && connection.is_alive()
        });
        self.open.set(self.open.get() - (before - idle.len()));
        let left = idle.len();
        drop(idle);
        let (closed, shared) = self.shared.sweep(now, timeout);
        self.open.set(self.open.get().saturating_sub(closed));
        let left = left + shared;
        self.note();
        left
    }
}

/// Runs while the pool has idle connections; a pool that is gone takes its connections with it.
async fn sweep(pool: Weak<Pool>) {
    loop {
        let Some(interval) = pool.upgrade().map(|pool| pool.limits.get().idle_connection_timeout.min(SWEEP_INTERVAL))
        else {
            return;
        };
        tokio::time::sleep(interval.max(Duration::from_millis(1))).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.sweep(time::now()) == 0 {
            pool.sweeping.set(false);
            return;
        }
    }
}

/// One of the connections that a pool may have; given back when dropped.
pub(super) struct Place {
    pool: Rc<Pool>,
    /// Whether dropping gives it back: not any more once an idle connection has taken it over.
    held: bool,
}

impl Place {
    /// The connection is counted by its pool from now on.
    pub(super) fn hand_over(mut self) {
        self.held = false;
    }

    fn take(pool: &Rc<Pool>) -> Self {
        pool.open.set(pool.open.get() + 1);
        pool.note();
        Self { pool: Rc::clone(pool), held: true }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.held {
            self.pool.open.set(self.pool.open.get() - 1);
            self.pool.note();
            self.pool.queue.wake();
        }
    }
}

/// A connection in use. Dropped, it closes the connection; [`Lease::release`] keeps it for the next request.
pub(super) struct Lease {
    pub(super) connection: Box<Connection>,
    place: Place,
}

impl Lease {
    /// Whose it is.
    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.place.pool
    }

    /// Gives the connection back if it may be used again.
    pub(super) fn release(self, now: Instant) {
        let Self { mut connection, mut place } = self;
        connection.settle();
        if connection.is_ready() && place.pool.keep(connection, now) {
            place.held = false;
        }
    }
}
