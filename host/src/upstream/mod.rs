//! Sends requests to upstreams: endpoints, kept-alive connections, timeouts.
//!
//! Every worker has its own connections; nothing here is shared between workers. A connection is driven by the request
//! that uses it, not by a task of its own. Must run on a `LocalSet` or a `LocalRuntime`.

mod connection;
mod download;
mod error;
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
mod wire_tests;

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::time::{self, Instant};

use crate::exchange::Response;
use crate::names::Name;

pub use error::UpstreamError;
pub use wire::{Protocol, ProxyProtocol, Tls, Wire};

use pool::{Limits, Pool};

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Name,
    /// `host:port` of each endpoint; asked in turn.
    pub endpoints: Vec<Endpoint>,
    /// How they are spoken to.
    pub wire: Wire,
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
    /// Connections that are kept open per worker and endpoint while nobody uses them.
    pub idle_connections_max: usize,
    /// How long such a connection is kept. Below the 60 s after which many servers close.
    pub idle_connection_timeout: Duration,
    /// Connections per worker and endpoint; requests over it are refused with 503.
    pub connections_max: usize,
}

/// When an endpoint that fails is not asked for a while. Where all are ejected they are asked all the same: nobody knows that
/// they would fail again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Requests that it must fail one after the other, counted per worker; 0: never.
    pub failures: u32,
    /// For how long.
    pub duration: Duration,
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
pub struct Upstreams(Vec<Upstream>);

struct Upstream {
    name: Name,
    response_timeout: Duration,
    idle_timeout: Duration,
    tunnel_timeout: Duration,
    ejection: Ejection,
    /// One per endpoint, in the order of the settings.
    pools: Vec<Rc<Pool>>,
    /// Whose turn it is.
    next: Cell<usize>,
}

impl Upstreams {
    /// The upstreams, without connections yet. [`Upstreams::send`] takes positions in `settings`.
    pub fn new(settings: &[Settings]) -> Self {
        Self(Vec::new()).rebuilt(settings)
    }

    /// The upstreams of another configuration. Where upstream and endpoint stay, their connections stay; the new limits
    /// hold for them at once. Requests under way on the old ones finish undisturbed.
    pub fn rebuilt(&self, settings: &[Settings]) -> Self {
        let rebuild = |settings: &Settings| {
            let limits = Limits::from(settings);
            let old = self.0.iter().find(|old| old.name == settings.name);
            let mut known: Vec<_> = old.map(|old| old.pools.clone()).unwrap_or_default();
            let mut pool = |endpoint: &Endpoint| {
                let same = |pool: &Rc<Pool>| *pool.endpoint == *endpoint && pool.wire == settings.wire;
                match known.iter().position(same) {
                    Some(index) => {
                        let pool = known.swap_remove(index);
                        pool.limit(limits);
                        pool
                    }
                    None => Pool::new(endpoint, &settings.wire, limits),
                }
            };
            Upstream {
                name: settings.name.clone(),
                response_timeout: settings.response_timeout,
                idle_timeout: settings.idle_timeout,
                tunnel_timeout: settings.tunnel_timeout,
                ejection: settings.ejection,
                pools: settings.endpoints.iter().map(&mut pool).collect(),
                next: Cell::new(0),
            }
        };
        Self(settings.iter().map(rebuild).collect())
    }

    /// The connections of each endpoint of an upstream, in the order of its settings.
    pub fn connections(&self, upstream: usize) -> Vec<Connections> {
        let count = |pool: &Rc<Pool>| {
            let (open, idle) = pool.count();
            Connections { endpoint: Rc::clone(&pool.endpoint), open, idle }
        };
        self.0.get(upstream).map(|upstream| upstream.pools.iter().map(count).collect()).unwrap_or_default()
    }
}

impl Upstream {
    /// Every endpoint once, beginning with the one whose turn it is; those that are ejected last.
    fn turn(&self, now: Instant) -> impl Iterator<Item = &Rc<Pool>> {
        let count = self.pools.len();
        let first = self.next.get();
        self.next.set(if first + 1 < count { first + 1 } else { 0 });
        let all = self.pools.iter().cycle().skip(first).take(count);
        all.clone().filter(move |pool| !pool.is_ejected(now)).chain(all.filter(move |pool| pool.is_ejected(now)))
    }

    /// Remembers how an endpoint did.
    fn judge_endpoint(&self, pool: &Pool, error: Option<&UpstreamError>) {
        match error {
            None => pool.did_well(),
            Some(error) if error.is_endpoints() => {
                if pool.failed(time::now(), self.ejection) {
                    let duration_ms = u64::try_from(self.ejection.duration.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(upstream = %self.name, endpoint = %pool.endpoint, duration_ms, "endpoint ejected: {error}");
                }
            }
            Some(_) => {}
        }
    }
}
