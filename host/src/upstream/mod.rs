//! Sends requests to upstreams: endpoints, kept-alive connections, timeouts.
//!
//! Every worker has its own connections; nothing here is shared between workers. A connection is driven by the request
//! that uses it, not by a task of its own. Must run on a `LocalSet` or a `LocalRuntime`.

mod balance;
mod health;

mod fleet;
mod guard;

mod deliver;

mod connection;
mod download;
mod error;
mod http2;
mod pool;
mod proxy_header;
mod relay;
mod send;
mod stream;
mod tunnel;
mod upload;
mod wire;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod origin;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod trouble_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod wire_tests;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Response;
use crate::names::Name;
use crate::time;

pub use balance::{Balance, Duty, Hash, HashBy, Policy, SameSite, Share, Sticky};
pub use error::UpstreamError;
pub use fleet::Ejection;
pub use guard::{BreakerSettings, BudgetSettings, Guards, Methods, Pending, Retries, Slow, Trigger};
pub use health::{Board, Check, EndpointReport, Expected, Initially, Overseer, UpstreamReport, expose};
pub use wire::{Protocol, ProxyProtocol, Tls, Wire};

use fleet::Fleet;
use guard::{Breaker, Budget, Queue};
use health::{Reckoning, Site, Whereabouts, name_of};

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Name,
    /// Its endpoints.
    pub endpoints: Vec<Share>,
    /// How they are spoken to.
    pub wire: Wire,
    /// How requests are spread over them.
    pub balance: Balance,
    /// Longest time for a connection to be established.
    pub connect_timeout: Duration,
    /// Longest time from the request being sent until the response head is complete. While the request body makes
    /// progress, it starts anew.
    pub response_timeout: Duration,
    /// Longest time between two pieces of a response body.
    pub idle_timeout: Duration,
    /// Longest time for which neither side of a tunnel says anything.
    pub tunnel_timeout: Duration,
    /// When an endpoint is not asked for a while.
    pub ejection: Ejection,
    /// What it is guarded by when it is in trouble.
    pub guards: Guards,
    /// How endpoints are asked whether they are well; none: not at all.
    pub health: Option<Check>,
    /// How often the names of endpoints are looked up; none: for every new connection.
    pub resolve_interval: Option<Duration>,
    /// Connections that are kept open per worker and endpoint while nobody uses them.
    pub idle_connections_max: usize,
    /// How long such a connection is kept. Below the 60 s after which many servers close.
    pub idle_connection_timeout: Duration,
    /// Connections per worker and endpoint; requests over it are refused with 503.
    pub connections_max: usize,
}

/// Where an upstream can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// By TCP.
    Tcp {
        /// A DNS name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
    /// By a socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') && !host.starts_with('[') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A response whose head is complete.
#[derive(Debug)]
pub struct Sent {
    /// The response, without hop-by-hop fields.
    pub response: Response,
    /// Who gave it.
    pub endpoint: Rc<Endpoint>,
    /// From being asked until the head was complete, connecting included.
    pub took: Duration,
    /// What it was sent on.
    pub connection: Connected,
    /// How often the request had been sent before, to this endpoint or to others.
    pub retries: u32,
}

/// What a request was sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// A kept-alive connection.
    Reused,
    /// A new one.
    New,
}

/// How many connections a worker has to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// The endpoint.
    pub endpoint: Rc<Endpoint>,
    /// All of them.
    pub open: usize,
    /// Those that wait for a request.
    pub idle: usize,
}

/// The upstreams as one worker sees them.
pub struct Upstreams {
    list: Vec<Upstream>,
    board: Arc<Board>,
}

struct Upstream {
    settings: Rc<Settings>,
    response_timeout: Duration,
    idle_timeout: Duration,
    tunnel_timeout: Duration,
    /// Replaced when the addresses behind a name change.
    fleet: RefCell<Rc<Fleet>>,
    /// Where names lead, and which version of that `fleet` is of; none: there are no names.
    whereabouts: Option<(Arc<Whereabouts>, Cell<u64>)>,
    board: Arc<Board>,
    breaker: Option<Rc<Breaker>>,
    budget: Rc<Budget>,
    /// Requests that wait for a connection.
    queue: Rc<Queue>,
    /// Where operators look.
    reckoning: Arc<Reckoning>,
}

impl Upstreams {
    /// The upstreams, without connections yet. [`Upstreams::send`] takes positions in `settings`.
    pub fn new(settings: &[Settings]) -> Self {
        Self::on(&Arc::default(), settings)
    }

    /// The same, with what is learned of their endpoints on a board that others read.
    pub fn on(board: &Arc<Board>, settings: &[Settings]) -> Self {
        Self { list: Vec::new(), board: Arc::clone(board) }.rebuilt(settings)
    }

    /// The upstreams of another configuration. Where upstream and endpoint stay, their connections stay, and what is known of them; the
    /// new limits hold for them at once. Requests under way on the old ones finish undisturbed, and their connections end with them.
    pub fn rebuilt(&self, settings: &[Settings]) -> Self {
        let old = |settings: &Settings| self.list.iter().find(|old| old.settings.name == settings.name);
        let rebuild = |settings: &Settings| Upstream::new(Rc::new(settings.clone()), &self.board, old(settings));
        Self { list: settings.iter().map(rebuild).collect(), board: Arc::clone(&self.board) }
    }

    /// An upstream of one endpoint at this place, known to nobody else.
    fn only(settings: Settings, site: &Site) -> Self {
        let board = Arc::default();
        let upstream = Upstream::new(Rc::new(settings), &board, None);
        let fleet = Fleet::new(&upstream.settings, &[(0, site.clone())], &board, &upstream.queue, None);
        upstream.fleet.replace(Rc::new(fleet));
        Self { list: vec![upstream], board }
    }

    /// The name of an upstream.
    pub fn name(&self, upstream: usize) -> Option<Name> {
        self.list.get(upstream).map(|upstream| upstream.settings.name.clone())
    }

    /// The host that an upstream is asked for where the client named none: its first endpoint's.
    pub fn authority(&self, upstream: usize) -> Arc<str> {
        let first = self.list.get(upstream).and_then(|upstream| upstream.settings.endpoints.first());
        match first.map(|share| &share.endpoint) {
            Some(endpoint @ Endpoint::Tcp { .. }) => endpoint.to_string().into(),
            Some(Endpoint::Unix(_)) | None => "localhost".into(),
        }
    }

    /// The connections of each endpoint of an upstream, in the order of its settings.
    pub fn connections(&self, upstream: usize) -> Vec<Connections> {
        let Some(upstream) = self.list.get(upstream) else { return Vec::new() };
        let fleet = upstream.fleet();
        let pools = fleet.members().iter().map(|member| &member.standing.pool);
        let count = pools.map(|pool| {
            let (open, idle) = pool.count();
            Connections { endpoint: Rc::clone(&pool.endpoint), open, idle }
        });
        count.collect()
    }
}

impl Upstream {
    fn new(settings: Rc<Settings>, board: &Arc<Board>, old: Option<&Self>) -> Self {
        let names = settings.endpoints.iter().any(|share| name_of(&share.endpoint).is_some());
        let named = names && settings.resolve_interval.is_some();
        let whereabouts = named.then(|| board.whereabouts(&settings.name));
        // Read before the addresses are: a change in between is then noticed at the next request.
        let version = whereabouts.as_ref().map_or(0, |whereabouts| whereabouts.version());
        let sites = whereabouts.as_deref().unwrap_or(&Whereabouts::default()).sites(&settings.endpoints);
        let queue = old.map(|old| Rc::clone(&old.queue)).unwrap_or_default();
        let fleet =
            Fleet::new(&settings, &sites, board, &queue, old.map(|old| Rc::clone(&old.fleet.borrow())).as_deref());
        let (guards, now) = (&settings.guards, time::now());
        let same = |old: &Rc<Breaker>| guards.breaker.as_ref() == Some(old.settings());
        let breaker = old.and_then(|old| old.breaker.clone()).filter(same);
        let breaker = breaker.or_else(|| guards.breaker.map(|settings| Rc::new(Breaker::new(settings, now))));
        Self {
            response_timeout: guards.retries.try_timeout.unwrap_or(Duration::MAX).min(settings.response_timeout),
            idle_timeout: settings.idle_timeout,
            tunnel_timeout: settings.tunnel_timeout,
            fleet: RefCell::new(Rc::new(fleet)),
            whereabouts: whereabouts.map(|whereabouts| (whereabouts, Cell::new(version))),
            board: Arc::clone(board),
            breaker,
            budget: old.map_or_else(|| Rc::new(Budget::new(guards.retries.budget, now)), |old| Rc::clone(&old.budget)),
            queue,
            reckoning: old.map_or_else(|| board.reckoning(&settings.name), |old| Arc::clone(&old.reckoning)),
            settings,
        }
    }

    /// The endpoints as they are now.
    #[inline]
    fn fleet(&self) -> Rc<Fleet> {
        if let Some((whereabouts, seen)) = &self.whereabouts
            && seen.get() != whereabouts.version()
        {
            seen.set(whereabouts.version());
            let before = Rc::clone(&self.fleet.borrow());
            let sites = whereabouts.sites(&self.settings.endpoints);
            self.fleet.replace(Rc::new(Fleet::new(&self.settings, &sites, &self.board, &self.queue, Some(&before))));
        }
        Rc::clone(&self.fleet.borrow())
    }
}
